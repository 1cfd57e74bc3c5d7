"""The one chart: a curve over steps, thin as measured and thick as a moving mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

FLOOR = 1e-6
"""Lowest loss that is drawn: a loss of 0 has no logarithm."""
SMOOTH = 20
"""The moving mean goes over this part of the run."""


@dataclass(frozen=True)
class Chart:
    """A curve of (step, value), at least two points for a drawing; a loss (nats per trained token) on a
    logarithmic scale, anything else that `what` names on a linear one.

    Raises ValueError for a value that is not finite, for a curve with a hole would look like a good one.
    """

    title: str
    points: Sequence[tuple[int, float]]
    what: str = "loss"
    scale: Literal["log", "linear"] = "log"
    axis: str = "step"
    """What is counted from left to right."""
    smoothed: bool = True
    """Whether the thick line is the moving mean; a curve of few points is drawn as it is."""
    span: tuple[float, float] | None = None
    """Lowest and highest value of the drawing, for charts that are compared; None takes the curve's own."""
    width: ClassVar[int] = 340
    height: ClassVar[int] = 150
    left: ClassVar[int] = 38
    floor: ClassVar[int] = 128
    template: ClassVar[str] = "chart.html"

    def __post_init__(self) -> None:
        bad = [(step, loss) for step, loss in self.points if not math.isfinite(loss)]
        if bad:
            step, loss = bad[0]
            raise ValueError(f"losses: {loss} at step {step} of {self.title!r}; expected finite values")

    @cached_property
    def measured(self) -> list[float]:
        """Values as they are drawn: their logarithms on that scale."""
        return [self._drawn(value) for _, value in self.points]

    @cached_property
    def smooth(self) -> list[float]:
        """Moving mean of the drawn values."""
        return moving_mean(self.measured, max(1, len(self.measured) // SMOOTH) if self.smoothed else 0)

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest of the drawn values, or of the drawing."""
        if self.span is not None:
            return self._drawn(self.span[0]), self._drawn(self.span[1])
        return min(self.measured), max(self.measured)

    @property
    def ends(self) -> tuple[float, float]:
        """The first value, and the last of the moving mean."""
        last = self.smooth[-1]
        return self.points[0][1], math.exp(last) if self.scale == "log" else last

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """(loss, height in the drawing) of the lines of the grid: round numbers if two of them fit in."""
        low, high = self.bounds
        if self.scale == "linear":
            return [
                (f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}", self._y(value))
                for value in ((low, high) if high > low else (low,))
            ]
        decades = range(math.floor(low / math.log(10)), math.ceil(high / math.log(10)) + 1)
        round_losses = [step * 10.0**power for power in decades for step in (1, 2, 5)]
        inside = [loss for loss in round_losses if low <= math.log(loss) <= high]
        losses = inside if len(inside) > 1 else [math.exp(low), math.exp(high)]
        return [(f"{loss:.3g}", self._y(math.log(loss))) for loss in losses]

    def line(self, values: Sequence[float]) -> str:
        """Points of an SVG line through one value per step."""
        first, last = self.points[0][0], self.points[-1][0]
        scale = (self.width - self.left - 8) / ((last - first) or 1)
        places = zip((step for step, _ in self.points), values, strict=True)
        return " ".join(f"{self.left + (step - first) * scale:.1f},{self._y(v):.1f}" for step, v in places)

    def _drawn(self, value: float) -> float:
        return math.log(max(value, FLOOR)) if self.scale == "log" else value

    def _y(self, value: float) -> float:
        low, high = self.bounds
        return self.floor - (value - low) / ((high - low) or 1.0) * (self.floor - 8)


def moving_mean(values: Sequence[float], reach: int) -> list[float]:
    """The mean of each value with up to `reach` values before it.

    >>> moving_mean([1.0, 3.0, 5.0], 1)
    [1.0, 2.0, 4.0]
    """
    windows = (values[max(0, i - reach) : i + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]
