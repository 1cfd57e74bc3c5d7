"""How a process reward model is asked, and what becomes of the scores of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from tessera.runtime.config import Config

Judging = Literal["soft", "hard", "orm"]
Aggregate = Literal["mean", "min", "max", "sum"]
AGGREGATES: Mapping[Aggregate, Callable[[Sequence[float]], float]] = {
    "mean": lambda scores: sum(scores) / len(scores),
    "min": min,
    "max": max,
    "sum": sum,
}
HARD_SCORES = (0.0, -100.0)
"""Of + and - in hard judging, as published."""


class CriticSettings(Config):
    """As published (docs/facts/process_reward.md), unless set otherwise."""

    mode: Judging = "soft"
    """soft: how likely + is at each step, all steps in one forward pass. hard: what the model says, step
    after step with its own verdicts in view; + is 0, - is -100. orm: soft, the response as one step"""
    aggregate: Aggregate | None = None
    """of the scores of steps to one; None is the mean, in hard judging the sum"""
    max_steps: int | None = Field(default=None, ge=1)
    """a response with more pieces has them merged"""
    early_stop: bool = False
    """hard: rate no step behind the first -"""
    system: str | None = None
    """what the model is told first; None takes the model's own, or the published prompt"""
    most_tokens: int = Field(default=16_384, ge=1)
    """of responses to one question that go through the model together; a longer one goes alone"""

    @property
    def lowest(self) -> float:
        """What a step gets that is wrong beyond doubt."""
        return HARD_SCORES[1] if self.mode == "hard" else 0.0

    def overall(self, scores: Sequence[float]) -> float:
        """The response's score."""
        return float(AGGREGATES[self.chosen_aggregate](scores))

    @property
    def chosen_aggregate(self) -> Aggregate:
        """The published one, where none was given."""
        return self.aggregate or ("sum" if self.mode == "hard" else "mean")
