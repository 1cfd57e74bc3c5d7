"""What a scorer is given about a question, what it says of an answer, and what an aggregate makes of many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

OVERALL = "overall"
"""The name of the figure that a paper quotes."""


@dataclass(frozen=True)
class Reference:
    """What the data know of a question.

    answers: the right ones as they stand there. options: letter → text, in order. fields: all other columns
    of the row as read (texts, numbers, lists).
    """

    answers: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    question: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """score: usually 0..1. extracted: what was taken for the answer; None where nothing could be.

    parts: what an aggregate needs beside it, plain JSON values. why: in a few words, for people.
    """

    score: float
    extracted: str | None = None
    why: str = ""
    parts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graded:
    """One question with its answer and what became of it."""

    index: str
    prediction: str
    verdict: Verdict
    reference: Reference = field(default_factory=lambda: Reference(()))


class Scorer(Protocol):
    """Judges one answer. Pure; the same answer has the same verdict at any time."""

    def __call__(self, prediction: str, reference: Reference, /) -> Verdict: ...


class Aggregate(Protocol):
    """Figures of many, by name, in the unit that is published (usually 0..100); `OVERALL` among them."""

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]: ...
