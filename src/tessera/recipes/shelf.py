"""Finding recipes: by name where they ship, by path where they are the user's own.

A recipe is a Python file with a function `recipe()` that returns a `Recipe`; its first docstring is its card.
"""

import ast
import re
import shutil
from difflib import get_close_matches
from pathlib import Path
from runpy import run_path

from tessera.train.recipe import Recipe

ROOT = Path(__file__).parent


def shipped_recipes() -> dict[str, Path]:
    """Name, such as scale_model/internvl_2_5, to file of every recipe that ships."""
    names = {file.relative_to(ROOT).with_suffix("").as_posix(): file for file in sorted(ROOT.glob("*/*.py"))}
    return {name: file for name, file in names.items() if "\ndef recipe(" in file.read_text(encoding="utf-8")}


def match_recipes(name: str) -> list[str]:
    """The recipes that ship and are called so; the folder may be left out."""
    short = name.replace("-", "_").replace(".", "_")
    return [full for full in shipped_recipes() if short in (full, full.partition("/")[2])]


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe that ships, or a user's own. Raises ValueError with the nearest names."""
    path, known = Path(name), shipped_recipes()
    if path.suffix == ".py":
        if not path.is_file():
            raise ValueError(f"recipe file {path} does not exist; correct the path, or see `tessera recipes`")
        return path
    found = match_recipes(str(name))
    if len(found) == 1:
        return known[found[0]]
    shorts = [full.partition("/")[2] for full in known]
    near = found or get_close_matches(str(name), [*known, *shorts], 3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(
        f"recipe {str(name)!r} is {'ambiguous' if found else 'unknown'}; {hint}"
        f"choose one of {', '.join(known)}, or give a .py file"
    )


def load_recipe(name: str | Path) -> Recipe:
    """The recipe of this name or file. A user's file is code: run only files you trust."""
    file = find_recipe(name)
    make = run_path(str(file), run_name=f"tessera_recipe_{file.stem}").get("recipe")
    result = make() if callable(make) else None
    if not isinstance(result, Recipe):
        raise ValueError(
            f"recipe file {file} needs a function recipe() that returns tessera.train.recipe.Recipe"
        )
    return result


def read_card(name: str) -> dict[str, str]:
    """What the docstring of a recipe says: `purpose`, its first line, and the fields, such as `time`."""
    text = ast.get_docstring(ast.parse(find_recipe(name).read_text(encoding="utf-8"))) or ""
    fields = re.findall(r"^(\w+):(.*(?:\n .*)*)", text, re.M)
    card = {key.lower(): " ".join(said.split()) for key, said in fields}
    return {"purpose": text.partition("\n")[0]} | card


def copy_recipe(name: str, file: Path | None = None) -> Path:
    """A copy to edit, by default in the current folder under its own name. Nothing is overwritten."""
    source = find_recipe(name)
    target = file or Path(source.name)
    if target.suffix != ".py":
        raise ValueError(f"{target}: a recipe is a Python file; give a name that ends with .py")
    if target.exists():
        raise ValueError(f"{target} is there already; give another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, target))
