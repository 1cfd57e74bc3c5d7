"""The score while answers come in, beside the bar."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from tessera.chat.batch.lines import BatchReply, name_of
from tessera.evaluation.interval import wilson_interval
from tessera.evaluation.running.grading import BenchmarkGrading
from tessera.evaluation.running.plan import BenchmarkPlan


class RunningScore:
    """The mean score of what this process was answered, with its 95 % interval; one answer a question."""

    def __init__(self, plan: BenchmarkPlan, grading: BenchmarkGrading) -> None:
        self._items, self._grading = plan.items, grading
        self._places: dict[str, int] = {}
        self._scores: list[float] = []

    def heard(self, line: Mapping[str, Any], /) -> None:
        """Judge an answer; what failed does not count."""
        if not self._places:
            self._places = {name_of(item.index, 0): place for place, item in enumerate(self._items)}
        place, reply = self._places.get(str(line.get("custom_id"))), BatchReply.of(line)
        if place is not None and not reply.fault:
            reference = self._items[place].reference
            self._scores.append(self._grading.judged(reply.text, reference)[1].score)

    def note(self) -> str:
        """Such as `score 71.2 (64 to 77)`, in percent of the best score."""
        count = len(self._scores)
        if not count:
            return "no score yet"
        mean = sum(self._scores) / count
        if set(self._scores) <= {0.0, 1.0}:
            low, high = wilson_interval(round(sum(self._scores)), count)
        else:
            spread = sqrt(sum((score - mean) ** 2 for score in self._scores) / max(1, count - 1) / count)
            low, high = mean - 1.96 * spread, mean + 1.96 * spread
        return f"score {mean:.1%} ({low:.0%} to {high:.0%})"
