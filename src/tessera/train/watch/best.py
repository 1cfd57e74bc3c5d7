"""Which step of a stage was the best so far: its model is kept beside the last one."""

import math
from collections.abc import Iterable
from typing import Literal

from tessera.train.watch.telemetry import StepReport

Best = Literal["loss", "score", "no"]
"""By the lowest held-out loss, by the highest share of right answers, or not at all."""


class BestStep:
    """The best step among the reports seen; every stage begins anew, for its data is another."""

    def __init__(self, by: Best, reports: Iterable[StepReport] = ()) -> None:
        self._by = by
        self._stage, self._value = -1, math.inf
        self.step: int | None = None
        for report in reports:
            self.see(report)

    def see(self, report: StepReport) -> bool:
        """Whether a step that was measured is better than all before it in its stage."""
        score = None if report.score is None else -report.score
        value = {"loss": report.validation_loss, "score": score, "no": None}[self._by]
        if value is None:
            return False
        if report.stage_index != self._stage:
            self._stage, self._value = report.stage_index, math.inf
        if value >= self._value:
            return False
        self._value, self.step = value, report.step
        return True
