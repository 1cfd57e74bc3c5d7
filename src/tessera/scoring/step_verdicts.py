"""How well a judge tells right steps from wrong ones: F1 of both, their mean, and the threshold between."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ScoredStep = tuple[bool, float]
"""Whether a step is right, and the judge's score of it. Steps that people called neutral are left out."""
MIDDLE = 0.5


@dataclass(frozen=True)
class StepCounts:
    """Steps by what they are and what the judge takes them for: right_as_wrong are right ones it refused."""

    right_as_right: int = 0
    right_as_wrong: int = 0
    wrong_as_right: int = 0
    wrong_as_wrong: int = 0

    @property
    def steps(self) -> int:
        """All of them."""
        return self.right_as_right + self.right_as_wrong + self.wrong_as_right + self.wrong_as_wrong

    @property
    def wrong(self) -> int:
        """Steps that are wrong."""
        return self.wrong_as_right + self.wrong_as_wrong

    @property
    def f1_right(self) -> float:
        """F1 of finding right steps, 0 to 1; 0 where there are none, as scikit-learn has it."""
        return _f1(self.right_as_right, self.right_as_wrong, self.wrong_as_right)

    @property
    def f1_wrong(self) -> float:
        """F1 of finding wrong steps, 0 to 1; 0 where there are none."""
        return _f1(self.wrong_as_wrong, self.wrong_as_right, self.right_as_wrong)

    @property
    def macro_f1(self) -> float:
        """The mean of both: the measure of VisualProcessBench (docs/facts/process_reward.md)."""
        return (self.f1_right + self.f1_wrong) / 2


def count_steps(steps: Iterable[ScoredStep], threshold: float) -> StepCounts:
    """A step is taken for right when its score exceeds the threshold; one that equals it is not."""
    found = Counter((is_right, score > threshold) for is_right, score in steps)
    return StepCounts(found[True, True], found[True, False], found[False, True], found[False, False])


def best_threshold(steps: Sequence[ScoredStep]) -> float:
    """The threshold with the best macro F1: below all scores, between two neighbours, or the highest score.

    Of equally good ones the nearest to 0.5, then the lower. ValueError without steps.
    """
    if not steps:
        raise ValueError("steps: none is labelled right or wrong; a threshold can't be chosen")
    right = sum(is_right for is_right, _ in steps)
    wrong, below = len(steps) - right, [0, 0]
    tried = [(StepCounts(right, 0, wrong, 0), _below(min(score for _, score in steps)))]
    ordered = sorted(steps, key=lambda step: step[1])
    for (is_right, score), (_, after) in zip(ordered, (*ordered[1:], (False, math.inf)), strict=True):
        below[is_right] += 1
        if score < after:
            counts = StepCounts(right - below[True], below[True], wrong - below[False], below[False])
            tried.append((counts, score if after == math.inf else (score + after) / 2))
    return max(tried, key=lambda each: (each[0].macro_f1, -abs(each[1] - MIDDLE), -each[1]))[1]


def _below(score: float) -> float:
    """A threshold that every score of at least this exceeds."""
    return score / 2 if score > 0 else score - 1


def _f1(found: int, missed: int, false: int) -> float:
    both = 2 * found + missed + false
    return 2 * found / both if both else 0.0
