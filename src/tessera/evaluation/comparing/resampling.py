"""Other draws of the same questions. Questions of one unit (rotations, one picture) are drawn together."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tessera.scoring.ratio import GroupingAggregate
from tessera.scoring.verdict import Aggregate, Graded

Floats: TypeAlias = NDArray[np.float64]
Unit: TypeAlias = Callable[[Graded], str]
"""A question to the name of what it is drawn with."""
LEVEL = 0.95
"""Of every interval."""
AT_A_TIME = 1 << 22
"""Counts that are in memory at a time."""


def unit_of(column: str | None, files: Mapping[str, Sequence[str]] = MappingProxyType({})) -> Unit:
    """Questions with equal values of a column are one unit; without a value, those about the same pictures.

    files: index → paths of pictures and clips. A question with neither stands alone.
    """

    def name(graded: Graded) -> str:
        value = graded.reference.fields.get(column) if column else None
        if value is not None and value != "":
            return f"value {value}"
        paths = files.get(graded.index)
        return "\0".join(("pictures", *paths)) if paths else f"index {graded.index}"

    return name


def number_units(
    graded: Sequence[Graded], unit: Unit | None, aggregate: Aggregate | None = None
) -> NDArray[np.int64]:
    """int64 [N]: the unit of each question, in order of appearance.

    Questions that the aggregate judges together are one unit, too.
    """
    names: list[Sequence[Hashable]] = [] if unit is None else [[unit(one) for one in graded]]
    if isinstance(aggregate, GroupingAggregate):
        names.append(aggregate.together(graded))
    if not names:
        return np.arange(len(graded))
    numbers: dict[Hashable, int] = {}
    joined = names[0] if len(names) == 1 else _joined(*names)
    return np.array([numbers.setdefault(name, len(numbers)) for name in joined], dtype=np.int64)


def _joined(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[Hashable]:
    """Names under which whatever shares a name in either list is together."""
    above: dict[Hashable, Hashable] = {}

    def top(name: Hashable) -> Hashable:
        while (higher := above.setdefault(name, name)) != name:
            above[name] = name = above[higher]
        return name

    for first, second in zip(one, two, strict=True):
        above[top((0, first))] = top((1, second))
    return [top((0, first)) for first in one]


def unit_sums(columns: Sequence[Sequence[float]], units: NDArray[np.int64]) -> Floats:
    """float64 [units, columns]: what the questions of each unit add up to."""
    return np.stack([np.bincount(units, np.asarray(one, dtype=np.float64)) for one in columns], axis=1)


def distinct(rows: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Rows that differ, and how often each is there: scores have few values, so these are few."""
    found, counts = np.unique(rows, axis=0, return_counts=True)
    return found, counts


def drawn_sums(rows: Floats, draws: int, random: np.random.Generator) -> Floats:
    """float64 [draws, columns]: sums over as many rows as there are, drawn with replacement (bootstrap)."""
    kinds, counts = distinct(rows)
    if 2 * len(kinds) > len(rows):
        each = (random.integers(0, len(rows), len(rows)) for _ in range(draws))
        return np.stack([np.bincount(numbers, minlength=len(rows)) @ rows for numbers in each])
    block = max(1, AT_A_TIME // len(kinds))
    shares = counts / counts.sum()
    return np.concatenate(
        [
            random.multinomial(len(rows), shares, size=min(block, draws - start)) @ kinds
            for start in range(0, draws, block)
        ]
    )


def halves(units: NDArray[np.int64], random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Endless draws of half of the units without replacement: int64, the questions in their order.

    A figure of random halves varies as the figure of fresh samples of full size does. No question is there
    twice, so that aggregates which group questions by name stay right.
    """
    count = int(units.max()) + 1
    while True:
        chosen = np.zeros(count, dtype=bool)
        chosen[random.permutation(count)[: half_of(count)]] = True
        yield np.flatnonzero(chosen[units])


def half_of(units: int) -> int:
    """Units in a half."""
    return max(1, units // 2)


def half_share(units: int) -> float:
    """How many of all units a half has."""
    return half_of(units) / units


def half_spread(units: int) -> float:
    """What deviations of halves are multiplied with to vary as whole samples: 1 for an even number."""
    half = half_of(units)
    return math.sqrt(half / (units - half)) if units > half else math.nan


def bounds_of(drawn: Floats) -> tuple[float, float]:
    """The middle 95 % of draws; NaN where there are none."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
