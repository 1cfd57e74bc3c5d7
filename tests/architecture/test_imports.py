"""The house rules a machine can check, read from syntax trees: import table, sizes, docstrings, no print.

The table is DESIGN section 3. When a room needs an import that is not here, the plan is to move the code to
the right room; widening the table is a decision for docs/decisions.md.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "tessera"

LEVELS: tuple[dict[str, set[str]], ...] = (
    {"runtime": set()},
    {
        "nn": {"runtime"},
        "imaging": {"runtime"},
        "audio": {"runtime"},
        "scoring": set(),
        "pages": set(),
    },
    {"models": {"nn", "runtime"}, "chat": {"imaging", "audio", "runtime"}},
    {
        "families": {"models", "nn", "chat", "imaging", "audio", "runtime"},
        "playground": {"chat", "imaging", "audio", "runtime"},
        "peers": {"models", "chat", "imaging", "runtime"},
    },
    {
        "records": {"chat", "imaging", "audio", "playground", "runtime"},
        "checkpoints": {"families", "models", "nn", "chat", "imaging", "audio", "runtime"},
    },
    {
        "packing": {"records", "chat", "imaging", "audio", "runtime"},
        "annotations": {"records", "chat", "imaging", "audio", "playground", "runtime"},
    },
    {
        "curation": {"packing", "records", "pages", "scoring", "playground"}
        | {"chat", "imaging", "audio", "runtime"},
        "engine": {"checkpoints", "families", "models", "nn", "chat", "imaging", "audio", "runtime"},
    },
)
"""Level → room → rooms it may import, all of them on lower levels."""
BELOW_TRAIN = {room for level in LEVELS for room in level} - {"engine", "annotations", "peers", "pages"}
TABLE: dict[str, set[str]] = {room: allowed for level in LEVELS for room, allowed in level.items()} | {
    "train": BELOW_TRAIN,
    "recipes": BELOW_TRAIN | {"train", "engine", "align", "evaluation"},
    "align": BELOW_TRAIN | {"train", "engine", "pages"},
    "evaluation": {"engine", "curation", "records", "scoring", "playground", "pages"}
    | {"chat", "imaging", "audio", "runtime"},
    "serve": {"engine", "scoring", "chat", "imaging", "audio", "runtime"},
}
"""Room → rooms it may import; `cli` may import anything and nobody imports `cli`."""

MOST_LINES_IN_FILE = 400
MOST_LINES_IN_FUNCTION = 60
FOREIGN_ERRORS = {"chat/tokenizer/files.py": "tokenizers raises Exception itself for every broken file"}
"""Files that may catch everything, each with the library that leaves no other way."""
TABLE_FILES: frozenset[str] = frozenset()
"""Files that are one long table, excused from the line budget."""

BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "tools", "base"}

MODULES = sorted(SOURCE.rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def room_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


def imported_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import; `from tessera import nn` counts as tessera.nn."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "tessera":
                yield from ((node.lineno, f"tessera.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def functions_of(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public_functions(tree: ast.Module) -> Iterator[Function]:
    """Module functions and methods of public classes without a leading underscore.

    A method that overrides one of a documented base (forward, state_dict) is public all the same. Properties
    and one-line methods are excused: their name says it.
    """
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, Function) and not method.name.startswith("_"):
                    yield method


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(SOURCE.parent)}:{line}"


def forbidden_imports(path: Path, tree: ast.AST) -> list[str]:
    """Edges of one file that the table does not have; relative imports are refused as unreadable."""
    room = room_of(path)
    found = []
    for line, name in imported_names(tree):
        if name.startswith("."):
            found.append(f"{where(path, line)} relative import {name!r}: write the full name")
        parts = name.split(".")
        if parts[0] != "tessera" or room in ("", "cli"):
            continue
        if len(parts) < 2 or not (SOURCE / parts[1]).is_dir():
            found.append(f"{where(path, line)} {room} may not import the root package ({name})")
        elif parts[1] != room and parts[1] not in TABLE[room]:
            found.append(f"{where(path, line)} {room} may not import {parts[1]} ({name})")
    return found


def test_every_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")} - {"assets"}
    assert rooms <= set(TABLE) | {"cli"}, "a new room needs a row in DESIGN section 3 and in TABLE"


def test_the_table_only_points_down() -> None:
    order: list[str] = []
    remaining = dict(TABLE)
    while remaining:
        ready = [room for room, needs in remaining.items() if needs <= set(order)]
        assert ready, f"the table has a cycle among {sorted(remaining)}"
        order += ready
        for room in ready:
            del remaining[room]


def test_imports_follow_the_table() -> None:
    found = [problem for path in MODULES for problem in forbidden_imports(path, tree_of(path))]
    assert not found, "\n".join(found)


def test_the_check_sees_a_forbidden_edge() -> None:
    """The rule itself, tried on an edge that must not exist: also one hidden inside a function."""
    path = SOURCE / "models" / "imagined.py"
    hidden = "def f():\n    from tessera.packing import pack\n    import tessera.engine.engine\n"
    assert len(forbidden_imports(path, ast.parse(hidden))) == 2
    assert not forbidden_imports(path, ast.parse("from tessera.nn import rope\nfrom tessera import nn"))


@pytest.mark.parametrize(
    "line",
    ["import tessera", "import tessera as t", "from tessera import load", "from tessera import __version__"],
)
def test_the_check_sees_the_root_package(line: str) -> None:
    """The root opens models with the engine: a room that imports it could reach anything."""
    assert len(forbidden_imports(SOURCE / "models" / "imagined.py", ast.parse(line))) == 1
    assert not forbidden_imports(SOURCE / "cli" / "imagined.py", ast.parse(line))


def test_nobody_outside_knows_a_family_by_name() -> None:
    """A family is reached through registry and catalogue; its folder is imported by `families` alone."""
    folders = {path.parent.name for path in (SOURCE / "families").glob("*/architecture.py")}
    found = [
        f"{where(path, line)} {name}"
        for path in MODULES
        if room_of(path) != "families"
        for line, name in imported_names(tree_of(path))
        if name.startswith("tessera.families.") and name.split(".")[2] in folders
    ]
    assert folders and not found, found


@pytest.mark.parametrize(("folder", "other"), [("tests", "benchmarks"), ("benchmarks", "tests")])
def test_tests_and_benchmarks_stand_apart(folder: str, other: str) -> None:
    root = SOURCE.parents[1]
    found = [
        f"{path.relative_to(root)}:{line} {name}"
        for path in sorted((root / folder).rglob("*.py"))
        for line, name in imported_names(tree_of(path))
        if name.split(".")[0] == other
    ]
    assert not found, found


@pytest.mark.parametrize("room", ["nn", "models"])
def test_parallelism_comes_from_outside(room: str) -> None:
    found = [
        where(path, line)
        for path in MODULES
        if room_of(path) == room
        for line, name in imported_names(tree_of(path))
        if name.startswith(("torch.distributed", "torch.nn.parallel"))
    ]
    assert not found, f"{room} must stay single-device: {found}"


def test_no_print_outside_cli() -> None:
    found = [
        where(path, node.lineno)
        for path in MODULES
        if room_of(path) != "cli"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not found, f"telemetry is a return value; print belongs to cli: {found}"


def test_no_blanket_except() -> None:
    found = []
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            named = [n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)] if node.type else [""]
            excused = named == ["Exception"] and path.relative_to(SOURCE).as_posix() in FOREIGN_ERRORS
            if {"", "Exception", "BaseException"} & set(named) and not excused:
                found.append(where(path, node.lineno))
    assert not found, f"name the exception: {found}"


def test_no_file_is_too_long() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    found = [
        f"{where(path, count)}"
        for path, count in lines.items()
        if count > MOST_LINES_IN_FILE and path.name not in TABLE_FILES
    ]
    assert not found, f"more than {MOST_LINES_IN_FILE} lines: {found}"


def test_no_function_is_too_long() -> None:
    found = [
        f"{where(path, node.lineno)} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in MODULES
        for node in functions_of(tree_of(path))
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > MOST_LINES_IN_FUNCTION
    ]
    assert not found, f"more than {MOST_LINES_IN_FUNCTION} lines:\n" + "\n".join(found)


def test_modules_and_public_functions_have_docstrings() -> None:
    found = [
        where(path, 1)
        for path in MODULES
        if path.read_text(encoding="utf-8").strip() and not ast.get_docstring(tree_of(path))
    ]
    for path in MODULES:
        for node in public_functions(tree_of(path)):
            one_line = len(node.body) == 1
            is_verb = room_of(path) == "cli" and node.name == "run"
            if not ast.get_docstring(node) and not one_line and not is_verb:
                found.append(f"{where(path, node.lineno)} {node.name}")
    assert not found, "no docstring:\n" + "\n".join(found)


def test_every_argument_has_a_type() -> None:
    found = []
    for path in MODULES:
        for node in functions_of(tree_of(path)):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
            if bare or (node.returns is None and node.name != "__init__"):
                found.append(f"{where(path, node.lineno)} {node.name} {bare}")
    assert not found, "not fully annotated:\n" + "\n".join(found)


def test_names_say_what_is_inside() -> None:
    found = [where(path, 1) for path in SOURCE.rglob("*") if path.stem.lower() in BANNED_NAMES]
    assert not found, f"a name that says nothing: {found}"
