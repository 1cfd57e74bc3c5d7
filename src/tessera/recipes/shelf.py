"""Finding recipes: by name where they ship, by path where they are the user's own.

A user's recipe is a Python file with a function `recipe()` that returns a `Recipe`; its first docstring is
its card.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tessera.recipes.internvl.table import published_runs
from tessera.recipes.offer import FileRecipe, Line, Offer, PublishedRecipe

if TYPE_CHECKING:
    from tessera.train.recipe import Recipe

ROOT = Path(__file__).parent


@cache
def shipped_recipes() -> dict[str, Offer]:
    """Every recipe that ships by name, such as scale_model/internvl_2_5 or internvl_2_5/8b/stage_1."""
    files = [file for file in sorted(ROOT.glob("*/*.py")) if _is_recipe(file)]
    names = [file.relative_to(ROOT).with_suffix("").as_posix() for file in files]
    own: dict[str, Offer] = {n: FileRecipe(n, file) for n, file in zip(names, files, strict=True)}
    return own | {name: PublishedRecipe(name, run) for name, run in published_runs().items()}


def _is_recipe(file: Path) -> bool:
    return "\ndef recipe(" in file.read_text(encoding="utf-8")


def match_recipes(name: str) -> list[str]:
    """The recipes that ship and are called so; the first folder may be left out."""
    short = name.lower().replace("-", "_").replace(".", "_")
    return [full for full in shipped_recipes() if short in (full, full.partition("/")[2])]


def find_recipe(name: str | Path) -> Offer:
    """A recipe that ships, or a user's own file. Raises ValueError with the nearest names."""
    path, known = Path(name), shipped_recipes()
    if path.suffix == ".py":
        if not path.is_file():
            raise ValueError(f"recipe file {path} does not exist; correct the path, or see `tessera recipes`")
        return FileRecipe(path.stem, path)
    found = match_recipes(str(name))
    if len(found) == 1:
        return known[found[0]]
    shorts = [full.partition("/")[2] for full in known]
    near = found[:5] or list(dict.fromkeys(get_close_matches(str(name).lower(), [*known, *shorts], 3)))
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(
        f"recipe {str(name)!r} is {'ambiguous' if found else 'unknown'}; {hint}"
        f"`tessera recipes` lists {len(known)}, or give a .py file"
    )


def load_recipe(name: str | Path) -> Recipe:
    """The recipe of this name or file. A user's file is code: run only files you trust."""
    return find_recipe(name).load()


def choose(words: Sequence[str]) -> list[Line]:
    """Lines of the recipes that all words fit: a generation, a size, or letters of name, model and parts.

    ValueError naming the words when none is left.
    """
    lines = [offer.line() for offer in shipped_recipes().values()]
    generations, sizes = ({getattr(line, field) for line in lines} for field in ("generation", "size"))

    def fits(line: Line, word: str) -> bool:
        if word in generations or word.upper() in sizes:
            return word == line.generation or word.upper() == line.size
        text = f"{line.name} {line.purpose}".lower()
        return word.lower() in text or word.lower().replace(".", "_").replace("-", "_") in text

    kept = [line for line in lines if all(fits(line, word) for word in words)]
    if not kept:
        if len(words) == 1:
            find_recipe(words[0])  # raises with the nearest names
        raise ValueError(f"no recipe has {' and '.join(map(repr, words))}; leave out a word")
    return kept


def copy_recipe(name: str, file: Path | None = None) -> Path:
    """A copy to edit, by default in the current folder under its own name. Nothing is overwritten."""
    own, text = find_recipe(name).copy()
    target = file or Path(own)
    if target.suffix != ".py":
        raise ValueError(f"{target}: a recipe is a Python file; give a name that ends with .py")
    if target.exists():
        raise ValueError(f"{target} is there already; give another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target
