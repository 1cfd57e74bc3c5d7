"""How sure the figures of a run are: 95 % intervals and standard errors."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.evaluation.comparing.resampling import (
    Floats,
    Unit,
    bounds_of,
    drawn_sums,
    half_share,
    half_spread,
    halves,
    number_units,
    unit_sums,
)
from tessera.evaluation.interval import wilson_interval
from tessera.runtime.seeds import derive_seed
from tessera.scoring.ratio import Ratio, RatioAggregate
from tessera.scoring.verdict import Aggregate, Graded

DRAWS = 1000
SECONDS = 20.0
"""Time for the draws of figures that must be computed anew, such as CIDEr."""
LEAST_DRAWS, FEW_DRAWS = 20, 200
"""Draws that are made however long they take; below the second, bounds come from their spread."""
NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % bounds and standard error in its own unit, and how these were found.

    NaN stands for what can't be told, such as the error of one question.
    """

    value: float
    low: float
    high: float
    error: float
    how: str


@dataclass(frozen=True)
class Intervals(Mapping[str, tuple[float, float]]):
    """Bounds by figure; `estimates` has errors and method. units: what was drawn, all questions of each."""

    estimates: Mapping[str, Estimate]
    questions: int
    units: int

    def __getitem__(self, figure: str) -> tuple[float, float]:
        found = self.estimates[figure]
        return found.low, found.high

    def __iter__(self) -> Iterator[str]:
        return iter(self.estimates)

    def __len__(self) -> int:
        return len(self.estimates)

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        figures = {name: asdict(found) for name, found in self.estimates.items()}
        return {"questions": self.questions, "units": self.units, "figures": figures}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Intervals:
        """What `as_json` gave; null stands for NaN. KeyError or TypeError for anything else."""
        figures: dict[str, Estimate] = {}
        for name, told in values["figures"].items():
            known: dict[str, Any] = {key: math.nan if value is None else value for key, value in told.items()}
            figures[name] = Estimate(**known)
        return cls(figures, int(values["questions"]), int(values["units"]))


def interval_of(
    graded: Sequence[Graded],
    aggregate: Aggregate,
    unit: Unit | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    seconds: float = SECONDS,
) -> Intervals:
    """The 95 % interval of every figure.

    Shares of questions that stand alone: Wilson. Other ratios: bootstrap over units. Figures that are known
    only by computing them: random halves of the units, as many as fit into `seconds` (at least 20).
    ValueError without questions.
    """
    if not graded:
        raise ValueError("graded: no questions; an interval needs at least one")
    figures, units = aggregate(graded), number_units(graded, unit, aggregate)
    ratios = aggregate.ratios(graded) if isinstance(aggregate, RatioAggregate) else {}
    found = {
        name: _of_ratio(ratios[name], value, units, draws, derive_seed(seed, name))
        for name, value in figures.items()
        if name in ratios
    }
    others = {name: value for name, value in figures.items() if name not in ratios}
    if others:
        found |= _of_halves(graded, aggregate, others, units, draws, derive_seed(seed), seconds)
    count = int(units.max()) + 1
    return Intervals({name: found[name] for name in figures}, len(graded), count)


def standard_error(scores: Sequence[float], units: Sequence[object] | None = None) -> float:
    """Of a mean; questions of a unit are not independent (Miller 2024, arXiv:2411.00640, equation 4).

    As lmms-eval 0.6 has it. NaN for fewer than two scores.
    """
    numbers: dict[object, int] = {}
    numbered = range(len(scores)) if units is None else [numbers.setdefault(u, len(numbers)) for u in units]
    if len(numbered) != len(scores):
        raise ValueError(f"units: {len(numbered)} for {len(scores)} scores; give one for each score")
    return ratio_error(Ratio(scores, np.ones(len(scores)).tolist(), 1.0), np.array(numbered, dtype=np.int64))


def ratio_error(ratio: Ratio, units: NDArray[np.int64]) -> float:
    """Standard error of a ratio, by its linear part; of a mean it is exactly the clustered error."""
    above, below = (np.asarray(side, dtype=np.float64) for side in (ratio.above, ratio.below))
    counted = (above != 0) | (below != 0)
    count, total = int(counted.sum()), float(below.sum())
    if count < 2 or not total:
        return math.nan
    parts = (above - float(above.sum()) / total * below)[counted] * count / total
    # S/(n(n-1)) + (sum over units of (sum)^2 - S)/n^2, written as a sum of squares.
    alone, together = float((parts**2).sum()), float((np.bincount(units[counted], parts) ** 2).sum())
    return ratio.scale * math.sqrt(alone / (count - 1) + together) / count


def _of_ratio(ratio: Ratio, value: float, units: NDArray[np.int64], draws: int, seed: int) -> Estimate:
    error = ratio_error(ratio, units)
    shares = is_share(ratio)
    alone = int(units.max()) + 1 == len(units)
    asked = unit_sums([ratio.above, ratio.below], units)
    members = int((asked[:, 1] > 0).sum())
    if shares and (alone or value in (0.0, ratio.scale)):
        # Units that are all right or all wrong would be drawn without any spread.
        low, high = wilson_interval(round(value / ratio.scale * members), members) if members else (0.0, 1.0)
        return Estimate(value, low * ratio.scale, high * ratio.scale, error, "Wilson")
    low, high = bounds_of(drawn_ratio(drawn_sums(asked, draws, np.random.default_rng(seed)), ratio.scale))
    return Estimate(value, low, high, error, f"{draws} draws")


def is_share(ratio: Ratio) -> bool:
    """Whether each question counts once or not at all, as right or wrong."""
    pairs = {*zip(ratio.above, ratio.below, strict=True)}
    return pairs <= {(0, 0), (0, 1), (1, 1)}


def drawn_ratio(sums: Floats, scale: float) -> Floats:
    """float64 [draws] of sums [draws, 2]; NaN where a draw has nothing below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[:, 1] != 0, scale * sums[:, 0] / sums[:, 1], np.nan)


def _of_halves(
    graded: Sequence[Graded],
    aggregate: Aggregate,
    figures: Mapping[str, float],
    units: NDArray[np.int64],
    draws: int,
    seed: int,
    seconds: float,
) -> dict[str, Estimate]:
    def figure(chosen: NDArray[np.int64]) -> Mapping[str, float]:
        return aggregate([graded[at] for at in chosen])

    drawn = draw_halves(figure, figures, units, draws, seed, seconds)
    return {name: from_halves(value, drawn[name], units) for name, value in figures.items()}


def draw_halves(
    figure: Callable[[NDArray[np.int64]], Mapping[str, float]],
    figures: Mapping[str, float],
    units: NDArray[np.int64],
    draws: int,
    seed: int,
    seconds: float,
) -> dict[str, Floats]:
    """Figures of halves by name, float64 [draws]; NaN where a half has none of that name.

    figures: those of all questions; sums, such as OCRBench's points, are told by them and made comparable.
    """
    began, found = time.monotonic(), []
    for chosen in halves(units, np.random.default_rng(seed)):
        drawn = figure(chosen)
        found.append([drawn.get(name, math.nan) for name in figures])
        if len(found) >= draws or (len(found) >= LEAST_DRAWS and time.monotonic() - began > seconds):
            break
    share = half_share(int(units.max()) + 1)
    columns = zip(figures.items(), np.array(found, dtype=np.float64).T, strict=True)
    return {name: _as_whole(value, drawn, share) for (name, value), drawn in columns}


def _as_whole(value: float, drawn: Floats, share: float) -> Floats:
    """A sum over half of the questions is about half of the sum; means stay as they are."""
    usual = value if np.isnan(drawn).all() else float(np.nanmean(drawn))
    return drawn / share if abs(usual - share * value) < abs(usual - value) else drawn


def from_halves(value: float, drawn: Floats, units: NDArray[np.int64]) -> Estimate:
    """A figure's estimate from its values for halves."""
    count, known = int(units.max()) + 1, drawn[~np.isnan(drawn)]
    if count < 2 or len(known) < 2:
        return Estimate(value, math.nan, math.nan, math.nan, "too few questions")
    spread = half_spread(count)
    error = float(known.std(ddof=1)) * spread
    least, most = min(float(known.min()), value), max(float(known.max()), value)
    if len(known) < FEW_DRAWS:
        low, high, how = value - NORMAL * error, value + NORMAL * error, f"spread of {len(drawn)} halves"
    else:
        low, high = bounds_of(value + (known - np.median(known)) * spread)
        how = f"{len(drawn)} halves"
    # No half was beyond: a share of 98 % has no bound above 100.
    return Estimate(value, max(low, least), min(high, most), error, how)
