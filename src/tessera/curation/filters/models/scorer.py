"""What a model that gives scores must offer, and how its replies are read."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer to a prompt with what it cost; `error` says why there is none."""

    text: str
    prompt_tokens: int = 0
    answer_tokens: int = 0
    error: str | None = None


Keep = Callable[[str, Reply], None]
"""Takes a prompt and its reply as soon as it is there, from any thread."""


class RecordScorer(Protocol):
    """A model that answers prompts."""

    @property
    def name(self) -> str:
        """Model and settings: replies of the same name to the same prompt are the same."""

    def replies(self, prompts: Iterable[str | None], keep: Keep) -> Iterator[Reply | None]:
        """One reply per prompt, in order, None for None; reads a bounded number of prompts ahead.

        Every reply without an error goes to `keep` at once, so that nothing is asked twice after a kill.
        Raises ValueError when no answer can be had at all.
        """


_THOUGHT_END = "</think>"
_OBJECT = re.compile(r"\{[^{}]*\}", re.DOTALL)
_NUMBER = r"(\d{1,2}(?:\.\d+)?)(?:\s*/\s*10)?"
# Emphasis and colons around a number, but no minus, quotes or braces: half an object is no answer.
_TRIM = r"[\s*_`#:]{0,40}"
_NAMED = rf"{_TRIM}(?:(?:the|final|overall|my) )*(?:score|rating)(?: is)?{_TRIM}{_NUMBER}{_TRIM}\.?{_TRIM}"
_ALONE = re.compile(rf"{_NAMED}|{_TRIM}{_NUMBER}{_TRIM}\.?{_TRIM}", re.IGNORECASE)
_LINE = re.compile(rf"^{_NAMED}$", re.IGNORECASE | re.MULTILINE)


def read_score(reply: str) -> float | None:
    """The score from 0 to 10 in a reply, or None when it can't be told for sure.

    Accepted: a JSON object with "score" (anywhere behind the thoughts), else nothing but a number ("8",
    "Score: 8/10"), else one line "Score: 8". Several different scores, other ranges and bare numbers in
    sentences are not guessed at.
    """
    said = reply.rpartition(_THOUGHT_END)[2].strip()
    found = {score for value in _objects(said) if (score := _from_object(value)) is not None}
    if not found:
        whole = _ALONE.fullmatch(said)
        numbers = [whole.group(1) or whole.group(2)] if whole else _LINE.findall(said)
        found = {float(number) for number in numbers}
    if len(found) != 1:
        return None
    score = found.pop()
    return score if 0 <= score <= 10 else None


def read_reason(reply: str) -> str:
    """The reason in a reply: "reason" of its JSON object, else its words."""
    said = reply.rpartition(_THOUGHT_END)[2].strip()
    reasons = (value.get("reason") for value in _objects(said))
    return next((reason for reason in reasons if isinstance(reason, str)), said)


def _objects(said: str) -> Iterator[dict[str, Any]]:
    """The JSON objects without objects inside; what only looks like one is left out."""
    for text in _OBJECT.findall(said):
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(value, dict):
            yield value


def _from_object(value: dict[str, Any]) -> float | None:
    score = value.get("score")
    if isinstance(score, str):
        match = re.fullmatch(_NUMBER, score.strip())
        return float(match.group(1)) if match else None
    return float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None
