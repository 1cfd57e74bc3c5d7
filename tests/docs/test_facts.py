"""Constants cite pages that readers have."""

from __future__ import annotations

import re
from pathlib import Path

CITED = re.compile(r"docs/facts/\w+\.md")


def test_cited_pages_are_there(repo_root: Path) -> None:
    files = [*(repo_root / "src").rglob("*.py"), *(repo_root / "tests").rglob("*.py")]
    cited = {name for file in files for name in CITED.findall(file.read_text(encoding="utf-8"))}
    assert not [name for name in cited if not (repo_root / name).is_file()]


def test_links_between_pages_lead_somewhere(repo_root: Path) -> None:
    """Every relative link of every page, README and CONTRIBUTING included."""
    broken = []
    for page in (*repo_root.glob("*.md"), *(repo_root / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in link and not (page.parent / link).exists():
                broken.append(f"{page.name}: {link}")
    assert not broken, "\n".join(broken)


def test_no_citation_of_numbered_facts(repo_root: Path) -> None:
    """Sections of a document outside the repository say nothing to a reader."""
    numbered = re.compile(r"\b[Ff]acts\s+(?:#\s*)?\d")
    files = [*(repo_root / "src").rglob("*.py"), *(repo_root / "docs").rglob("*.md")]
    assert not [str(file) for file in files if numbered.search(file.read_text(encoding="utf-8"))]
