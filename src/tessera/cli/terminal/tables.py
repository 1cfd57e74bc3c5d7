"""How tables and lines look in a terminal."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tessera.runtime.shown import visible


class Terminal(Console):
    """Rich's console; a reader that has seen enough (head, less) is told from a failure."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would end with exit code 1


def figures_table(head: str, *columns: str, **looks: Any) -> Table:
    """A table with names on the left and figures, aligned to the right, in every other column."""
    table = Table(**looks)
    table.add_column(head, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def counts_table(head: str, columns: Iterable[str], rows: Mapping[str, Iterable[int]]) -> Table:
    """A figures table of counts: the name of a row, then one for each column."""
    table = figures_table(head, *columns)
    for name, counts in rows.items():
        table.add_row(name, *(f"{count:,}" for count in counts))
    return table


def say(console: Console, *lines: object, style: str | None = None) -> None:
    """Lines as they are: not wrapped, not coloured by content, and no text of the data read as markup
    or obeyed by the terminal."""
    for line in lines:
        console.print(visible(str(line)), style=style, markup=False, highlight=False, soft_wrap=True)
