"""docs/models.md against the catalogue: its table of generations and its commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tessera.cli.main import main
from tessera.families.catalogue import entries


@pytest.fixture(scope="module")
def page(repo_root: Path) -> str:
    return (repo_root / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_table_of_generations(page: str) -> None:
    rows = [line.split("|")[1:-1] for line in page.splitlines() if re.match(r"\| \d", line)]
    cells = {row[0].strip(): row for row in rows}
    assert set(cells) == {entry.generation for entry in entries()}
    for generation, (_, _, vits, _, templates, pictures) in cells.items():
        members = [entry for entry in entries() if entry.generation == generation]
        assert set(re.findall(r"`([^`]+)`", templates)) == {entry.template for entry in members}
        assert set(re.findall(r"300M|6B|none", vits)) == {entry.vision.label for entry in members}
        assert ("one square" in pictures) == (not members[0].tiling.dynamic)


def test_the_commands_run(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^tessera (models.*?)(?:\s+#.*)?$", page, flags=re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        assert main(command.split()) == 0, command
        assert capsys.readouterr().out.strip()


def test_the_files_it_names_exist(page: str, repo_root: Path) -> None:
    rooms = repo_root / "src" / "tessera"
    named = set(re.findall(r"`([\w/]+\.py)`", page))
    assert {"language_models.py", "vision_models.py"} <= named
    for name in named:
        places = (rooms, rooms / "families/internvl", rooms / "families/internvl/catalogue")
        assert any((place / name).exists() for place in places), name
