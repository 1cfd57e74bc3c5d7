"""The cells of a table as values: texts, or what pandas makes of them, as one kit reads its data.

pandas 3's rules for `read_csv`: a column whose cells are all whole numbers is whole numbers, with a gap among
them it is real ones; then real numbers, then truth values; everything else stays text.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["text", "whole", "real", "truth"]
Value = str | int | float | bool | None

MISSING = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>")
    + ("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
)
"""Texts that pandas takes for a gap (its documentation, `na_values`)."""
LONGEST = 400
"""Characters of a number; a longer cell is text. Python's own limit for whole ones is 4300."""
FEW = 100
"""Different cells that are remembered to be told."""
_SPACE = r"[ \t\n\r\f\v]*"
_WHOLE = re.compile(rf"{_SPACE}[+-]?[0-9]+{_SPACE}")
_REAL = re.compile(rf"{_SPACE}[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?{_SPACE}")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_TRUTH = {
    name: value for value in (True, False) for name in (f"{value}", f"{value}".lower(), f"{value}".upper())
}


@dataclass
class Column:
    """What the cells of a column have been so far."""

    whole: bool = True
    real: bool = True
    truth: bool = True
    gap: bool = False
    numbers: tuple[int, int] = (0, 0)
    """smallest and largest whole number, 0 among them"""
    words: Counter[str] = field(default_factory=Counter)
    """texts that are taken for a gap"""
    other: dict[Kind, Counter[str]] = field(default_factory=lambda: {"whole": Counter(), "real": Counter()})
    """cells that a number is written otherwise than, some of them, by the kind of number"""

    def see(self, cell: str) -> None:
        """Take a further cell into account."""
        if cell in MISSING:
            self.gap = True
            if cell:
                self.words[cell] += 1
        elif self.whole or self.real or self.truth:
            self._narrow(cell)

    def _narrow(self, cell: str) -> None:
        short = len(cell) <= LONGEST
        self.whole = self.whole and short and _WHOLE.fullmatch(cell) is not None
        self.real = self.real and short and bool(_REAL.fullmatch(cell) or _INFINITE.fullmatch(cell))
        self.truth = self.truth and cell in _TRUTH
        if self.whole:
            self.numbers = (min(self.numbers[0], number := int(cell)), max(self.numbers[1], number))
        for kind, seen in self.other.items():
            if (self.whole if kind == "whole" else self.real) and str(_READ[kind](cell)) != cell:
                seen[cell if cell in seen or len(seen) < FEW else ""] += 1

    @property
    def kind(self) -> Kind:
        """The kind of all cells together."""
        low, high = self.numbers
        small = low >= -(2**63) and high < 2**63
        if self.whole and (small or not self.gap):
            # Beyond 64 bits, and of both signs, pandas has no type that holds them.
            fits = small or low >= 0
            return "text" if not fits else "real" if self.gap else "whole"
        if self.real and not self.whole:
            return "real"
        return "truth" if self.truth and not self.whole else "text"

    @property
    def changes(self) -> list[tuple[str, int, str]]:
        """Kinds of cells that are not kept as they stand: one of each, how many, and what becomes of them."""
        told = [(word, self.words.total(), "missing") for word, _ in self.words.most_common(1)]
        if numbers := self.other.get(self.kind):
            one = next(iter(numbers))
            told.append((one, sum(numbers.values()), str(_READ[self.kind](one))))
        return told


_READ: dict[Kind, Callable[[str], Value]] = {
    "text": str,
    "whole": int,
    "real": float,
    "truth": _TRUTH.__getitem__,
}


def typed(cells: Sequence[str], kinds: Sequence[Kind]) -> list[Value]:
    """The values of a row's cells by the kinds of their columns; None for a gap."""
    return [None if cell in MISSING else _READ[kind](cell) for cell, kind in zip(cells, kinds, strict=True)]


def plain(cells: Sequence[str]) -> list[Value]:
    """The cells as they are; None for an empty one."""
    return [cell or None for cell in cells]
