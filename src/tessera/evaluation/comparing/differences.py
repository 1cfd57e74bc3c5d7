"""Two runs over the same questions: how far their figures differ, and whether chance would do as much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.evaluation.comparing.chance import exchange_ratios, exchange_runs, mcnemar, normal_chance
from tessera.evaluation.comparing.intervals import (
    DRAWS,
    SECONDS,
    draw_halves,
    drawn_ratio,
    from_halves,
    is_share,
)
from tessera.evaluation.comparing.resampling import (
    Unit,
    bounds_of,
    drawn_sums,
    number_units,
    unit_sums,
)
from tessera.runtime.seeds import derive_seed
from tessera.scoring.ratio import Ratio, RatioAggregate
from tessera.scoring.verdict import Aggregate, Graded


@dataclass(frozen=True)
class FigureDifference:
    """A figure of two runs; `difference` is the second less the first, with its 95 % bounds.

    p: how often chance alone gives a difference as large. how: of bounds and p. NaN: can't be told.
    """

    one: float
    two: float
    difference: float
    low: float
    high: float
    p: float
    how: str


def differences_of(
    one: Sequence[Graded],
    two: Sequence[Graded],
    aggregate: Aggregate,
    unit: Unit | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    seconds: float = SECONDS,
) -> dict[str, FigureDifference]:
    """Paired differences of all figures that both have. ValueError unless the same questions come in order.

    Ratios: bootstrap of pairs, random exchange of the runs; shares of questions that stand alone: McNemar's
    exact test. Other figures: halves and exchanges that are computed anew, within `seconds`; where these are
    too few, p is from the standard error.
    """
    if not one or [g.index for g in one] != [g.index for g in two]:
        raise ValueError("one, two: other questions, or none; match them first")
    before, after = aggregate(one), aggregate(two)
    units = number_units(one, unit, aggregate)
    both = _ratios(aggregate, one, two)
    names = [name for name in before if name in after]
    found = {
        name: _of_ratios(*both[name], units, draws, derive_seed(seed, name)) for name in names if name in both
    }
    others = {name: (before[name], after[name]) for name in names if name not in both}
    if others:
        found |= _computed(one, two, aggregate, others, units, draws, derive_seed(seed), seconds)
    return {name: found[name] for name in names}


def _ratios(
    aggregate: Aggregate, one: Sequence[Graded], two: Sequence[Graded]
) -> dict[str, tuple[Ratio, Ratio]]:
    if not isinstance(aggregate, RatioAggregate):
        return {}
    first, second = aggregate.ratios(one), aggregate.ratios(two)
    return {name: (first[name], second[name]) for name in first if name in second}


def _of_ratios(one: Ratio, two: Ratio, units: NDArray[np.int64], draws: int, seed: int) -> FigureDifference:
    rows = unit_sums([one.above, one.below, two.above, two.below], units)
    random = np.random.default_rng(seed)
    sums = drawn_sums(rows, draws, random)
    low, high = bounds_of(drawn_ratio(sums[:, 2:], two.scale) - drawn_ratio(sums[:, :2], one.scale))
    alone = int(units.max()) + 1 == len(units) and [*one.below] == [*two.below]
    if alone and is_share(one) and is_share(two):
        gained = sum(after > before for before, after in zip(one.above, two.above, strict=True))
        lost = sum(after < before for before, after in zip(one.above, two.above, strict=True))
        p, test = mcnemar(gained, lost), "McNemar exact"
    else:
        p, test = exchange_ratios(rows, (one.scale, two.scale), random), "random exchange"
    return FigureDifference(
        one.value, two.value, two.value - one.value, low, high, p, f"{draws} draws, {test}"
    )


def _computed(
    one: Sequence[Graded],
    two: Sequence[Graded],
    aggregate: Aggregate,
    figures: Mapping[str, tuple[float, float]],
    units: NDArray[np.int64],
    draws: int,
    seed: int,
    seconds: float,
) -> dict[str, FigureDifference]:
    """Differences of figures that are known only by computing them: half of the time for bounds and for p."""
    seen = {name: after - before for name, (before, after) in figures.items()}

    def halved(chosen: NDArray[np.int64]) -> dict[str, float]:
        sides = (aggregate([run[at] for at in chosen]) for run in (one, two))
        return {f"{side} {name}": value for side, found in enumerate(sides) for name, value in found.items()}

    def exchanged(swapped: NDArray[np.bool_]) -> dict[str, float]:
        sides = [
            [b if swap else a for a, b, swap in zip(first, second, swapped, strict=True)]
            for first, second in ((one, two), (two, one))
        ]
        return _less(aggregate(sides[1]), aggregate(sides[0]))

    both = {f"{side} {name}": pair[side] for name, pair in figures.items() for side in (0, 1)}
    drawn = draw_halves(halved, both, units, draws, seed, seconds / 2)
    chances = exchange_runs(exchanged, seen, units, np.random.default_rng(seed + 1), draws, seconds / 2)
    found = {}
    for name, (before, after) in figures.items():
        bounds = from_halves(seen[name], drawn[f"1 {name}"] - drawn[f"0 {name}"], units)
        p = chances.get(name, normal_chance(seen[name], bounds.error))
        how = f"{bounds.how}, {'random exchange' if name in chances else 'normal'}"
        found[name] = FigureDifference(before, after, seen[name], bounds.low, bounds.high, p, how)
    return found


def _less(two: Mapping[str, float], one: Mapping[str, float]) -> dict[str, float]:
    return {name: value - one.get(name, math.nan) for name, value in two.items()}
