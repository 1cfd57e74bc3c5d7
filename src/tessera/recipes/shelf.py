"""Finding recipes: by name where they ship, by path where they are the user's own.

A recipe is a Python file with a function `recipe()` that returns a `Recipe`; its first docstring is its card.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from tessera.train.recipe import Recipe

ROOT = Path(__file__).parent
CARD_FIELDS = ("command", "hardware", "time", "expected")


@dataclass(frozen=True)
class Card:
    """What the first docstring of a recipe says about it: its first line, and the fields of the card."""

    name: str
    purpose: str
    command: str
    hardware: str
    time: str
    expected: str


def shipped_recipes() -> dict[str, Path]:
    """Name, such as scale_model/internvl_2_5, to file of every recipe that ships."""
    files = sorted(ROOT.glob("*/*.py"))
    return {
        file.relative_to(ROOT).with_suffix("").as_posix(): file
        for file in files
        if re.search(r"^def recipe\(", file.read_text(encoding="utf-8"), re.M)
    }


def find_recipe(name: str | Path) -> str | Path:
    """The full name of a recipe that ships, or the path of a user's file.

    The folder may be left out where the rest is unambiguous. Raises ValueError with the nearest names.
    """
    path, known = Path(name), shipped_recipes()
    if path.suffix == ".py":
        if not path.is_file():
            raise ValueError(f"recipe file {path} does not exist; correct the path, or see `tessera recipes`")
        return path
    short = path.as_posix().replace("-", "_").replace(".", "_")
    found = [full for full in known if short in (full, full.partition("/")[2])]
    if len(found) == 1:
        return found[0]
    shorts = {full.partition("/")[2]: full for full in known}
    near = found or get_close_matches(short, [*known, *shorts], 3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(
        f"recipe {str(name)!r} is {'ambiguous' if found else 'unknown'}; {hint}"
        f"choose one of {', '.join(known)}, or give a .py file"
    )


def load_recipe(name: str | Path) -> Recipe:
    """The recipe of this name or file. A user's file is code: run only files you trust."""
    found = find_recipe(name)
    module = _module_of(found) if isinstance(found, Path) else import_module(_dotted(found))
    make = getattr(module, "recipe", None)
    result = make() if callable(make) else None
    if not isinstance(result, Recipe):
        raise ValueError(
            f"recipe file {found} needs a function recipe() that returns tessera.train.recipe.Recipe"
        )
    return result


def read_card(name: str) -> Card:
    """The card of a recipe that ships; a field that it lacks is empty."""
    text = ast.get_docstring(ast.parse(shipped_recipes()[name].read_text(encoding="utf-8"))) or ""
    fields: Mapping[str, str] = {
        key.lower(): " ".join(value.split())
        for key, value in re.findall(r"^(\w+):(.*(?:\n .*)*)", text, re.M)
    }
    return Card(name, text.partition("\n")[0], *(fields.get(field, "") for field in CARD_FIELDS))


def copy_recipe(name: str, file: Path | None = None) -> Path:
    """A copy to edit, by default in the current folder under its own name. Nothing is overwritten."""
    found = find_recipe(name)
    source = found if isinstance(found, Path) else shipped_recipes()[found]
    target = file or Path(source.name)
    if target.suffix != ".py":
        raise ValueError(f"{target}: a recipe is a Python file; give a name that ends with .py")
    if target.exists():
        raise ValueError(f"{target} is there already; give another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def _dotted(name: str) -> str:
    return f"{__package__}.{name.replace('/', '.')}"


def _module_of(file: Path) -> ModuleType:
    spec = spec_from_file_location(f"tessera_recipe_{file.stem}", file)
    assert spec is not None and spec.loader is not None, "the name ends with .py"
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
