"""Questions that a model answers while it learns: what is asked when, and what came of it.

Who answers is a hook: this room has no engine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from tessera.runtime.config import Config


class EvaluationSpec(Config):
    """Questions of a stage, the same ones each time, answered greedily."""

    tasks: tuple[str, ...] = ()
    """Playground tasks, in pictures that no training draws."""
    records: str | None = None
    """Manifest of records held out: the first question of each, its answer is the expected one."""
    every: int = Field(default=200, gt=0)
    """Steps between two times; one stands at the end of the stage in any case."""
    count: int = Field(default=32, gt=0)
    """Questions of each task, and of the records."""
    most_tokens: int = Field(default=64, gt=0)
    """Tokens of an answer at most."""

    @model_validator(mode="after")
    def _asks_something(self) -> "EvaluationSpec":
        if not self.tasks and self.records is None:
            raise ValueError("evaluation: nothing is asked; give tasks, or records")
        return self

    def due(self, step: int, steps: int) -> bool:
        """Whether it stands behind a step."""
        return (step + 1) % self.every == 0 or step + 1 == steps


@dataclass(frozen=True)
class Example:
    """A question with its answer. `picture` is a file in the run's folder, "" where there is none."""

    task: str
    question: str
    expected: str
    answer: str
    right: bool
    picture: str = ""


@dataclass(frozen=True)
class Answers:
    """So many right of so many asked, by task, and a few examples."""

    right: dict[str, int]
    asked: dict[str, int]
    examples: tuple[Example, ...] = ()

    @property
    def score(self) -> float:
        """Mean share of right answers, each task counting alike."""
        return sum(self.right[task] / self.asked[task] for task in self.asked) / len(self.asked)


@dataclass(frozen=True)
class EvaluationReport:
    """What was answered behind a step."""

    stage: str
    stage_index: int
    step: int
    answers: Answers


AnswerHook = Callable[[EvaluationSpec, Any], Answers]
"""Lets a model (the second argument, in evaluation mode) answer what is asked."""
