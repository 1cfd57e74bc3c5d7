"""What a rule finds in a text, the levels that make a verdict of it, and the verdict as a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import model_validator

from tessera.runtime.config import Config

Verdict = Literal["keep", "borderline", "drop"]
VERDICTS: tuple[Verdict, ...] = ("keep", "borderline", "drop")
"""From mild to severe."""

EXCERPT = 160
"""Most characters of evidence in a row."""
LEAD = 40
"""Characters shown before the finding, where there is room."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How strongly a rule holds (`value`, in the rule's unit) and where: characters start to end."""

    value: float
    start: int = 0
    end: int = 0


NOTHING = Finding(0.0)


class Levels(Config):
    """From which value on a finding is worth a look, and from which it drops the record; None is never."""

    borderline: float | None = None
    """a person should look: kept unless decided otherwise"""
    drop: float | None = None
    """dropped unless decided otherwise"""

    @model_validator(mode="after")
    def _ordered(self) -> Levels:
        if self.borderline is not None and self.drop is not None and self.borderline > self.drop:
            raise ValueError(f"borderline {self.borderline} is above drop {self.drop}; exchange them")
        return self

    def verdict(self, value: float) -> Verdict:
        """The verdict on a value: the more, the worse."""
        if self.drop is not None and value >= self.drop:
            return "drop"
        if self.borderline is not None and value >= self.borderline:
            return "borderline"
        return "keep"

    def threshold(self, verdict: Verdict) -> float | None:
        """The level that a value crossed to get its verdict; the next one for a value that is kept."""
        if verdict == "drop":
            return self.drop
        return self.drop if self.borderline is None else self.borderline


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One verdict of one rule on a record.

    turn counts messages from 0, start and end are characters of that message's text; None for the record as a
    whole. score is None when a model's answer could not be read.
    """

    rule: str
    score: float | None
    threshold: float | None
    verdict: Verdict
    turn: int | None = None
    start: int | None = None
    end: int | None = None
    excerpt: str = ""
    domain: str | None = None


def excerpt(text: str, start: int, end: int) -> str:
    """At most `EXCERPT` characters around a finding, with … where text was left out."""
    first = max(0, start - LEAD)
    last = min(len(text), max(end, start + 1) + LEAD, first + EXCERPT)
    return ("…" if first else "") + text[first:last] + ("…" if last < len(text) else "")


def worst(verdicts: list[Verdict]) -> Verdict:
    """The most severe of some verdicts; keep when there is none."""
    return max(verdicts, key=VERDICTS.index, default="keep")
