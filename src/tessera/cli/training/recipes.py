"""`tessera recipes`: the recipes that ship, and a copy of one to edit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.markup import escape
from rich.table import Table

from tessera.cli.command import WordsCommand
from tessera.cli.terminal.tables import Terminal
from tessera.recipes.shelf import copy_recipe, load_recipe, read_card, shipped_recipes
from tessera.runtime.shown import counted


@dataclass(frozen=True, kw_only=True)
class RecipesCommand(WordsCommand):
    """List the recipes that ship with the package, or copy one to a file that you can edit and train."""

    words: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[FILE]")] = ()
    """With --copy: the file to write; the recipe's own name in this folder by default."""
    copy: str | None = None
    """Copy the recipe of this name."""

    def targets(self) -> Mapping[Path, bool]:
        return {Path(word): False for word in self.words[:1]} if self.copy is not None else {}

    def run(self) -> int:
        if len(self.words) > (self.copy is not None):
            raise ValueError(f"{self.words[-1]!r} is one word too many; a file goes with --copy NAME")
        if self.copy is not None:
            file = copy_recipe(self.copy, *map(Path, self.words))
            remark = f"{file}: edit it, then tessera train {file}"
            self.tell(lambda: {"file": file}, lambda: print(remark))
            return 0
        found = [describe(name) for name in shipped_recipes()]
        self.tell(lambda: found, lambda: show(found))
        return 0


def describe(name: str) -> dict[str, Any]:
    """The card of a recipe and its stages, as plain values."""
    return {"name": name, **read_card(name)} | {"stages": {s.name: s.steps for s in load_recipe(name).stages}}


def show(found: list[dict[str, Any]]) -> None:
    """A card per recipe: what it trains, its stages, what it takes, what to expect."""
    console = Terminal()
    for recipe in found:
        stages = ", ".join(f"{name} ({counted(steps, 'step')})" for name, steps in recipe["stages"].items())
        card = Table.grid(padding=(0, 2), pad_edge=True)
        card.add_column(style="dim", min_width=8)
        for name, value in (recipe | {"stages": stages}).items():
            if name not in ("name", "purpose"):
                card.add_row(name, escape(value))
        console.print(f"[bold]{recipe['name']}[/]\n{escape(recipe['purpose'])}", highlight=False)
        console.print(card, "", highlight=False)
    print("a file to edit: tessera recipes --copy NAME")
