"""Steps whose loss stands out, with the samples they learned from."""

import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tessera.train.watch.telemetry import StepReport

WINDOW, LEAST = 50, 20
"""Steps that a loss is compared with, and how many there must be."""
FACTOR = 6.0
"""Deviations above the median: of a normal noise one step in a thousand million."""
NORMAL = 1.4826
"""Standard deviations of a normal noise in a median absolute deviation."""
NARROWEST = 0.01
"""Least deviation as a share of the median: a loss that hardly moves has spikes, too."""
MOST_NAMED = 512
"""Samples of a step that are named."""


@dataclass(frozen=True)
class Spike:
    """A step whose loss is above `limit`: the median of those before, and a multiple of their deviation."""

    stage: str
    stage_index: int
    step: int
    loss: float
    median: float
    limit: float
    samples: tuple[str, ...] = ()
    """Keys `source:record` of the step, those of all processes, MOST_NAMED at most."""


class SpikeWatch:
    """Compares the loss of every step with those before it in its stage; `reports` came before."""

    def __init__(self, reports: Iterable[StepReport] = ()) -> None:
        self._stage = 0
        self._losses: deque[float] = deque(maxlen=WINDOW)
        for report in reports:
            self.see(report)

    def see(self, report: StepReport) -> Spike | None:
        """The spike that a step is, without its samples; None for a usual one."""
        if report.stage_index != self._stage:
            self._stage = report.stage_index
            self._losses.clear()
        if report.skipped:
            return None
        found = self._judge(report)
        self._losses.append(report.loss)
        return found

    def _judge(self, report: StepReport) -> Spike | None:
        if len(self._losses) < LEAST:
            return None
        median, limit = spike_limit(self._losses)
        if report.loss <= limit:
            return None
        return Spike(report.stage, report.stage_index, report.step, report.loss, median, limit)


def spike_limit(losses: Sequence[float]) -> tuple[float, float]:
    """Median, and the loss above which a step stands out.

    >>> spike_limit([1.0, 2.0, 3.0])[0]
    2.0
    """
    median = statistics.median(losses)
    deviation = NORMAL * statistics.median(abs(loss - median) for loss in losses)
    return median, median + FACTOR * max(deviation, NARROWEST * abs(median))
