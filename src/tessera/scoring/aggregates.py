"""The plain aggregates: mean, sum, means of groups, and each of them by the values of columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tessera.scoring.ratio import Ratio
from tessera.scoring.settings import flag, grouping, names
from tessera.scoring.verdict import OVERALL, Graded


@dataclass(frozen=True)
class Mean:
    """Mean of the scores, and of the questions of every value of some columns, named `column=value`.

    A column that the data lack has no figures: not every form of a benchmark has all of them.
    without: column → values; questions with one of them do not count for the headline. answered: empty
    answers do not count for it. summed: the sum in place of the mean.
    """

    scale: float = 100.0
    by: tuple[str, ...] = ()
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    answered: bool = False
    summed: bool = False

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        """Every figure; nan for the mean of nothing."""
        return {name: ratio.value for name, ratio in self.ratios(graded).items()}

    def ratios(self, graded: Sequence[Graded], /) -> Mapping[str, Ratio]:
        """Every figure as scores over how many questions count."""
        counted = [self._counts(one) for one in graded]
        return {OVERALL: self._ratio(graded, counted)} | {
            f"{column}={value}": self._ratio(graded, [at in members for at in range(len(graded))])
            for column in self.by
            if any(one.reference.fields.get(column) is not None for one in graded)
            for value, members in places_by(graded, column).items()
        }

    def _counts(self, one: Graded) -> bool:
        fields = one.reference.fields
        left_out = any(str(fields.get(column)) in values for column, values in self.without.items())
        return not left_out and not (self.answered and one.prediction == "")

    def _ratio(self, graded: Sequence[Graded], counted: Sequence[bool]) -> Ratio:
        scores = [one.verdict.score if count else 0.0 for one, count in zip(graded, counted, strict=True)]
        scale = self.scale * (sum(counted) if self.summed else 1)
        return Ratio(scores, [float(count) for count in counted], scale)


@dataclass(frozen=True)
class GroupMean:
    """Mean of the figures of groups, each the mean of the figures of its values of a column (macro average).

    groups: name → values. others: a value of no group is a group of its own; else it does not count for the
    headline. summed: sums in place of means, throughout.
    """

    plain: Mean
    column: str
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others: bool = True

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        """The headline, the groups by their names, then `column=value` for every value."""
        figures = self.plain(graded)
        found = {value: figures[f"{self.column}={value}"] for value in places_by(graded, self.column)}
        groups = dict(self._groups(found))
        return {**figures, OVERALL: self._joined([*groups.values()])} | {
            name: value for name, value in groups.items() if name in self.groups
        }

    def ratios(self, graded: Sequence[Graded], /) -> Mapping[str, Ratio]:
        """What is a plain mean: the figures of single values."""
        return {name: ratio for name, ratio in self.plain.ratios(graded).items() if name != OVERALL}

    def _groups(self, found: Mapping[str, float]) -> Iterator[tuple[str, float]]:
        for name, values in self.groups.items():
            if members := [found[value] for value in values if value in found]:
                yield name, self._joined(members)
        if self.others:
            grouped = {value for values in self.groups.values() for value in values}
            yield from ((value, figure) for value, figure in found.items() if value not in grouped)

    def _joined(self, figures: Sequence[float]) -> float:
        if self.plain.summed:
            return math.fsum(figures)
        return math.fsum(figures) / len(figures) if figures else math.nan


@dataclass(frozen=True)
class Consecutive:
    """Questions that follow one another make one: right only if all of them are; mean × 100.

    A last run that is not whole does not count. Its value of a column is that of the question that decides:
    the first wrong one, or else the last.
    """

    of: int
    plain: Mean

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]:
        """Every figure."""
        return self.plain([*self._decided(graded)])

    def together(self, graded: Sequence[Graded], /) -> Sequence[int]:
        """Numbers of the runs."""
        return [at // self.of for at in range(len(graded))]

    def _decided(self, graded: Sequence[Graded]) -> Iterator[Graded]:
        for start in range(0, len(graded) - self.of + 1, self.of):
            run = graded[start : start + self.of]
            one = next((one for one in run if one.verdict.score < 1), run[-1])
            yield replace(one, verdict=replace(one.verdict, score=float(one.verdict.score >= 1)))


def mean(
    percent: bool = True,
    by: object = (),
    of_groups: str | None = None,
    without: object = None,
    answered: bool = False,
) -> Mean | GroupMean:
    """Mean of the scores.

    percent: times 100. by: columns whose values have figures of their own. of_groups: a column; the headline
    is the mean of the means of its values. without, answered: what does not count for it.
    """
    scale = 100.0 if flag("percent", percent) else 1.0
    columns, left_out = names("by", by), grouping("without", without or {})
    plain = Mean(scale, columns, left_out, flag("answered", answered))
    return plain if of_groups is None else _grouped(plain, of_groups, {}, True)


def total(by: object = ()) -> Mean:
    """Sum of the scores, and by the values of columns."""
    return Mean(1.0, names("by", by), summed=True)


def grouped(
    column: str, groups: object = None, others: bool = True, percent: bool = True, by: object = ()
) -> GroupMean:
    """Mean of means of groups of a column's values; the settings are those of `GroupMean` and `mean`."""
    plain = Mean(100.0 if flag("percent", percent) else 1.0, names("by", by))
    return _grouped(plain, column, groups or {}, others)


def consecutive(of: int = 4, by: object = ()) -> Consecutive:
    """So many questions in turn count as one; the settings are those of `Consecutive`."""
    if isinstance(of, bool) or not isinstance(of, int) or of < 1:
        raise ValueError(f"of is {of!r:.80}: give how many questions make one, from 1 on")
    return Consecutive(of, Mean(100.0, names("by", by)))


def grouped_sum(column: str, groups: Mapping[str, tuple[str, ...]]) -> GroupMean:
    """Sums of groups and of all, as benchmarks of points have them."""
    return _grouped(Mean(1.0, summed=True), column, groups, True)


def places_by(graded: Sequence[Graded], column: str) -> dict[str, set[int]]:
    """Value of a column, as text → the places of its questions, in the order in which the values appear.

    Questions without the column have no place; ValueError when none has it.
    """
    places: dict[str, set[int]] = {}
    for at, one in enumerate(graded):
        value = one.reference.fields.get(column)
        if value is not None:
            places.setdefault(str(value), set()).add(at)
    if graded and not places:
        known = sorted({name for one in graded[:100] for name in one.reference.fields})
        raise ValueError(f"no question has a column {column!r}: give one of {', '.join(known) or 'none'}")
    return places


def _grouped(plain: Mean, column: str, groups: object, others: bool) -> GroupMean:
    (name,) = names("column", [column])
    by = plain.by if name in plain.by else (name, *plain.by)
    return GroupMean(replace(plain, by=by), name, grouping("groups", groups), flag("others", others))
