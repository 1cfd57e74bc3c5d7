"""How often a difference as large would come by chance, if it were the same which run gave which answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tessera.evaluation.comparing.resampling import AT_A_TIME, Floats, distinct

FLIPS = 10_000
"""Random exchanges behind a p value, so none is below 0.0001."""
LEAST_FLIPS = 99
"""Fewer tell no p value."""
_MOST_KINDS = 1 << 27
_EQUAL = 1e-9
"""Differences that only rounding tells apart count as equal."""


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p value of McNemar's exact test: the binomial test of the questions that flipped.

    >>> round(mcnemar(9, 1), 4)
    0.0215
    """
    flipped, fewer = gained + lost, min(gained, lost)
    logs = (
        math.lgamma(flipped + 1) - math.lgamma(k + 1) - math.lgamma(flipped - k + 1) for k in range(fewer + 1)
    )
    return min(1.0, 2 * math.fsum(math.exp(log - flipped * math.log(2)) for log in logs))


def exchange_ratios(rows: Floats, scales: tuple[float, float], random: np.random.Generator) -> float:
    """p value of the difference of two ratios, when the runs' answers to each unit are exchanged at random.

    rows: float64 [units, 4], above and below of one run, then of the other.
    """
    kinds, counts = distinct(rows)
    draws = max(1000, min(FLIPS, _MOST_KINDS // len(kinds)))
    block = max(1, AT_A_TIME // len(kinds))
    other = kinds[:, [2, 3, 0, 1]]
    seen = abs(_differences(counts @ kinds, scales))
    drawn: list[float] = []
    for start in range(0, draws, block):
        swapped = random.binomial(counts, 0.5, size=(min(block, draws - start), len(kinds)))
        drawn += abs(_differences((counts - swapped) @ kinds + swapped @ other, scales)).tolist()
    return share_as_large(float(seen), drawn)


def _differences(sums: Floats, scales: tuple[float, float]) -> Floats:
    """The second ratio less the first, of float64 [..., 4]; NaN where nothing stands below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return scales[1] * sums[..., 2] / sums[..., 3] - scales[0] * sums[..., 0] / sums[..., 1]


def exchange_runs(
    differences: Callable[[NDArray[np.bool_]], Mapping[str, float]],
    seen: Mapping[str, float],
    units: NDArray[np.int64],
    random: np.random.Generator,
    draws: int,
    seconds: float,
) -> dict[str, float]:
    """p values of differences that must be computed anew for each exchange; none where time is too short.

    differences: which questions are exchanged, bool [N], to the differences by figure.
    """
    began, drawn = time.monotonic(), {name: list[float]() for name in seen}
    count = int(units.max()) + 1
    for done in range(draws):
        if time.monotonic() - began > seconds:
            if done < LEAST_FLIPS:
                return {}
            break
        found = differences(random.integers(0, 2, count).astype(bool)[units])
        for name, values in drawn.items():
            values.append(abs(found.get(name, math.nan)))
    return {name: share_as_large(abs(seen[name]), values) for name, values in drawn.items()}


def normal_chance(difference: float, error: float) -> float:
    """Two-sided p value of a difference by its standard error; NaN without one."""
    if not difference:
        return 1.0
    return math.erfc(abs(difference) / (error * math.sqrt(2))) if error > 0 else math.nan


def share_as_large(seen: float, drawn: Sequence[float]) -> float:
    """Share of draws at least as large as what was seen, this counted as one of them; NaN without a value."""
    if math.isnan(seen):
        return math.nan
    known = [value for value in drawn if not math.isnan(value)]
    return (1 + sum(value >= seen * (1 - _EQUAL) - _EQUAL for value in known)) / (1 + len(known))
