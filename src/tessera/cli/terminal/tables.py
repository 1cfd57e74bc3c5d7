"""How tables and lines look in a terminal."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Table

from tessera.runtime.shown import visible


class Terminal(Console):
    """Rich's console. A table that is too wide becomes lists; a reader that has seen enough (head, less) is
    told from a failure."""

    def print(self, *objects: Any, **looks: Any) -> None:
        super().print(*map(self._fitting, objects), **looks)

    def _fitting(self, printed: Any) -> Any:
        """What is no table with heads, or fits, as it is; else each row as lines of head and cell."""
        if not isinstance(printed, Table) or not printed.show_header:
            return printed
        least = Measurement.get(self, self.options.update(max_width=1000), printed).minimum
        if any(column.overflow == "fold" for column in printed.columns):
            least = least * 3 // 4  # names that are broken anywhere stay readable
        if least <= self.width:
            return printed
        lists = Table.grid(padding=(0, 2), pad_edge=False)
        for cells in zip(*(column.cells for column in printed.columns), strict=True):
            for column, cell in zip(printed.columns, cells, strict=True):
                lists.add_row(column.header, cell)
            lists.add_row()
        return Group(printed.title, lists) if isinstance(printed.title, str) else lists

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
