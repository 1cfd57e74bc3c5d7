"""`tessera recipes`: the recipes that ship as a table, one of them in full, and a copy of one to edit."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich import box
from rich.markup import escape
from rich.table import Column, Table

from tessera.cli.command import WordsCommand
from tessera.cli.terminal.tables import Terminal
from tessera.recipes.offer import Line
from tessera.recipes.shelf import choose, copy_recipe, find_recipe, match_recipes
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted

WIDTH = 100
"""Columns of the output where it is no terminal; the table fits them."""
CAPTION = (
    "rate: the highest; batch: packs a step x tokens; tokens: as published, or what the packs hold.\n"
    "GB: {memory}.\n"
    "SIZE/all_stages joins the stages of a size. A page: tessera recipes NAME; a file: --copy NAME"
)


STATE = "weights, gradients and optimizer of all devices together; --memory counts all of a device"
PLANNED = "all that a device takes, by the plan, on the GPUs published, else on one"


@dataclass(frozen=True, kw_only=True)
class RecipesCommand(WordsCommand):
    """List the recipes that ship, show one in full, or copy one to a file that you can edit and train."""

    words: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[WORDS]")] = ()
    """A name for its page; else words that must all fit: generation, size, stage, model (2.5 8B lora). With
    --copy: the file to write; the recipe's own name in this folder by default."""
    memory: bool = False
    """Count what each takes on a device, by the plan of `tessera train --plan`: about a second a stage."""
    copy: str | None = None
    """Copy the recipe of this name."""

    def targets(self) -> Mapping[Path, bool]:
        return {Path(word): False for word in self.words[:1]} if self.copy is not None else {}

    def run(self) -> int:
        if self.copy is not None:
            return self._copy(self.copy)
        console = Terminal()
        if not console.is_terminal:
            console = Terminal(width=WIDTH)
        if len(self.words) == 1 and len(match_recipes(self.words[0])) == 1:
            from tessera.cli.training.recipe_page import describe, show_page  # needs torch

            offer = find_recipe(self.words[0])
            self.tell(lambda: describe(offer), lambda: show_page(offer, console))
            return 0
        found = choose(self.words)
        memory = self._count(found) if self.memory else {}
        values = [asdict(line) | {"memory": memory.get(line.name)} for line in found]
        self.tell(lambda: values, lambda: show(found, console, memory))
        return 0

    def _count(self, lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
        """Name to what the plan says. Runs that only join stages of the table are left out, and pairs, which
        are not planned."""
        from tessera.recipes.expected import expected  # needs torch

        found, single = {}, _single(lines)
        with progress_bars() as bars:
            for done, line in enumerate(single):
                bars("memory", done, len(single))
                if (memory := expected(find_recipe(line.name))) is not None:
                    found[line.name] = asdict(memory) | {"most": memory.most}
        return found

    def _copy(self, name: str) -> int:
        if len(self.words) > 1:
            raise ValueError(f"{self.words[-1]!r} is one word too many; a file goes with --copy NAME")
        file = copy_recipe(name, *map(Path, self.words))
        remark = f"{file}: edit it, then tessera train {file}"
        self.tell(lambda: {"file": file}, lambda: print(remark))
        return 0


def show(found: Sequence[Line], console: Terminal, memory: Mapping[str, Mapping[str, Any]]) -> None:
    """The table; runs that only join stages of it are left to the caption, unless nothing else was found."""
    single = _single(found)
    caption = (
        f"\n[dim]{counted(len(single), 'recipe')}\n{CAPTION.format(memory=PLANNED if memory else STATE)}[/]"
    )
    sizes = {name: values["most"] for name, values in memory.items()}
    console.print(
        recipes_table(single, sizes or {line.name: line.state_bytes for line in single}),
        caption,
        highlight=False,
    )


def _single(found: Sequence[Line]) -> Sequence[Line]:
    return [line for line in found if not line.name.endswith("/all_stages")] or found


def recipes_table(lines: Sequence[Line], sizes: Mapping[str, int]) -> Table:
    """A row a recipe, a rule between generations; `sizes` are bytes."""
    right: Any = {"justify": "right", "no_wrap": True}
    table = Table(
        Column("recipe", no_wrap=True),
        Column("trains", overflow="fold"),  # the one that gives way
        *(Column(name, **right) for name in ("rate", "batch", "steps", "tokens")),
        Column("hardware", no_wrap=True),
        Column("GB", **right),
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
        pad_edge=False,
    )
    for line, after in pairwise([*lines, None]):
        assert line is not None
        counts = [count for count in line.stages.values() if count]
        steps = f"{sum(counts):,}" if counts else "one pass"
        memory = f"{size / 1e9:,.0f}" if (size := sizes.get(line.name)) else ""
        cells = (line.name, line.trained, line.rate, line.batch, steps, line.tokens, line.hardware, memory)
        table.add_row(
            *map(escape, cells), end_section=after is not None and after.generation != line.generation
        )
    return table
