"""Rooms of a size that a reader can hold: files in a folder, share of the package, a card for each."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "tessera"
MODULES = sorted(SOURCE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES})
MOST_FILES = 12
"""Beside `__init__`; more become sub-rooms."""
MOST_OF_THE_PACKAGE = 0.20
MOST_LINES_OF_A_CARD = 10


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(SOURCE.parent)))
def test_a_folder_holds_at_most_twelve_files(folder: Path) -> None:
    files = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= MOST_FILES, f"{len(files)} files: make sub-rooms"


@pytest.mark.parametrize("folder", FOLDERS[1:], ids=lambda folder: str(folder.relative_to(SOURCE.parent)))
def test_a_room_says_what_it_is(folder: Path) -> None:
    """Its job, in what order to read it, what it must not know: in ten lines."""
    card = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(card) >= 30 and len(card.splitlines()) <= MOST_LINES_OF_A_CARD, card


def test_no_room_is_over_a_fifth_of_the_package() -> None:
    sizes: Counter[str] = Counter()
    for path in MODULES:
        parts = path.relative_to(SOURCE).parts
        sizes[parts[0] if len(parts) > 1 else ""] += lines_of(path)
    total = sum(sizes.values())
    limit = MOST_OF_THE_PACKAGE * total
    found = [f"{room} {size / total:.0%}" for room, size in sizes.items() if size > limit]
    assert not found, f"split {', '.join(found)}"


def test_a_public_class_name_exists_once() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice, "\n".join(f"{name}: {', '.join(where)}" for name, where in sorted(twice.items()))
