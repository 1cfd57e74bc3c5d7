"""How good a step is: how many of the answers that go on from there are right (docs/facts/process_reward.md).

Requests of a step begin alike, and those of the next step begin with them: an engine computes that once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tessera.align.asking import GO_ON, AnswerSampling, user_message
from tessera.align.preferences.verdicts import score_response
from tessera.align.process.solutions import Solution
from tessera.chat.batch.lines import BatchReplies, batch_request, name_of
from tessera.runtime.shown import shown
from tessera.scoring.reasoned.judging import AnswerJudge


@dataclass(frozen=True)
class MarkedStep:
    """A step with its score, right continuations over all; the published names of the fields."""

    step: str
    score: float
    num_mc_correct: int
    num_mc_total: int


class Unmarked(ValueError):
    """A step has no score, since an answer is missing or its record is odd; says which and why."""


def recorded_marks(solution: Solution) -> tuple[MarkedStep, ...]:
    """The marks that a published record holds under `steps_with_score`. Raises Unmarked for others."""
    entries = solution.response.record.get("steps_with_score")
    if not isinstance(entries, list) or not entries:
        raise Unmarked(f"steps_with_score is {shown(entries)}")
    return tuple(_recorded(entry, number) for number, entry in enumerate(entries, 1))


def _recorded(entry: object, number: int) -> MarkedStep:
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
    step, score = fields.get("step", ""), fields.get("score", "")
    right, tried = (fields.get(name, 0) for name in ("num_mc_correct", "num_mc_total"))
    scored = isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1
    if not (isinstance(step, str) and step.strip() and scored and type(right) is type(tried) is int):
        raise Unmarked(f"steps_with_score: step {number} is {shown(entry)}")
    return MarkedStep(step, float(score), right, tried)


@dataclass(frozen=True)
class Continuations:
    """`count` answers from every step on. early_stop: none behind a step from which no answer was right."""

    asking: AnswerSampling
    count: int
    judge: AnswerJudge
    early_stop: bool = False

    def requests(self, solution: Solution, replies: BatchReplies | None) -> Iterator[dict[str, Any]]:
        """Those that can be asked now: with early_stop steps whose predecessors `replies` have."""
        question = user_message(solution.response.prompt, solution.response.pictures)
        for number, step in enumerate(solution.steps):
            if self.early_stop and number and not self._goes_on(solution, number - 1, replies):
                return
            begun = {"role": "assistant", "content": solution.response.text[: step.end]}
            for sample in range(self.count):
                place = solution.name, number, sample
                yield batch_request(self.asking.body([question, begun], *place) | GO_ON, *place)

    def marks(self, solution: Solution, replies: BatchReplies) -> tuple[MarkedStep, ...]:
        """The steps with their scores; with early_stop 0 of 0 behind the first without a right answer.

        Raises Unmarked where an answer is missing.
        """
        found: list[MarkedStep] = []
        for number, step in enumerate(solution.steps):
            if self.early_stop and found and not found[-1].num_mc_correct:
                found.append(MarkedStep(step.text, 0.0, 0, 0))
                continue
            right = self._right(solution, number, replies)
            found.append(MarkedStep(step.text, right / self.count, right, self.count))
        return tuple(found)

    def _goes_on(self, solution: Solution, number: int, replies: BatchReplies | None) -> bool:
        """Whether all answers from a step on are there, and one is right."""
        try:
            return replies is not None and self._right(solution, number, replies) > 0
        except Unmarked:
            return False

    def _right(self, solution: Solution, number: int, replies: BatchReplies) -> int:
        response, right = solution.response, 0
        begun = response.text[: solution.steps[number].end]
        for sample in range(self.count):
            reply = replies[name_of(solution.name, number, sample)]
            if reply.fault:
                raise Unmarked(f"step {number + 1}, continuation {sample + 1}: {reply.fault}")
            verdict = score_response(replace(response, text=reply.behind(begun)), self.judge)
            right += verdict.kind == "positive"
        return right
