"""The plain aggregates: mean, sum, mean of group means, and each of them by the values of columns."""

import math
from collections.abc import Callable, Mapping, Sequence

from tessera.scoring.settings import flag, names
from tessera.scoring.verdict import OVERALL, Graded

Figures = Callable[[Sequence[Graded]], Mapping[str, float]]


def mean(percent: bool = True, by: object = (), of_groups: str | None = None) -> Figures:
    """Mean of the scores.

    percent: times 100. by: columns; each of their values has a figure of its own, named `column=value`.
    of_groups: a column; the headline is the mean of the means of its values (macro average).
    """
    scale = 100.0 if flag("percent", percent) else 1.0
    columns = names("by", by)
    group = names("of_groups", of_groups)[0] if of_groups is not None else None

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        headline = _mean(graded) if group is None else _mean_of(_split(graded, group))
        split = [group, *columns] if group and group not in columns else columns
        return _scaled({OVERALL: headline} | _by(graded, split, _mean), scale)

    return figures


def total(by: object = ()) -> Figures:
    """Sum of the scores, and by the values of columns."""
    columns = names("by", by)

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        return {OVERALL: _sum(graded)} | _by(graded, columns, _sum)

    return figures


def split_by(graded: Sequence[Graded], column: str) -> dict[str, list[Graded]]:
    """Value of a column, as text → its questions, in the order in which the values appear.

    Questions without the column are left out; ValueError when none has it.
    """
    groups: dict[str, list[Graded]] = {}
    for one in graded:
        value = one.reference.fields.get(column)
        if value is not None:
            groups.setdefault(str(value), []).append(one)
    if graded and not groups:
        known = sorted({name for one in graded[:100] for name in one.reference.fields})
        raise ValueError(f"no question has a column {column!r}: give one of {', '.join(known) or 'none'}")
    return groups


def _split(graded: Sequence[Graded], column: str) -> list[list[Graded]]:
    return list(split_by(graded, column).values())


def _by(
    graded: Sequence[Graded], columns: Sequence[str], figure: Callable[[Sequence[Graded]], float]
) -> dict[str, float]:
    return {
        f"{column}={value}": figure(group)
        for column in columns
        for value, group in split_by(graded, column).items()
    }


def _sum(graded: Sequence[Graded]) -> float:
    return math.fsum(one.verdict.score for one in graded)


def _mean(graded: Sequence[Graded]) -> float:
    """nan of nothing: a figure that nobody takes for a score."""
    return _sum(graded) / len(graded) if graded else math.nan


def _mean_of(groups: Sequence[Sequence[Graded]]) -> float:
    return math.fsum(map(_mean, groups)) / len(groups) if groups else math.nan


def _scaled(figures: Mapping[str, float], scale: float) -> dict[str, float]:
    return {name: value * scale for name, value in figures.items()}
