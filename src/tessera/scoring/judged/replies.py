"""What a judge's reply says, as the published scripts read it; None where they would ask again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

_PREFERENCE = re.compile(r"\[\[([AB<>=]+)\]\]")
PREFERENCES: Mapping[str, float] = MappingProxyType(
    {"A>>B": -2.0, "A>B": -1.0, "A=B": 0.0, "B>A": 1.0, "B>>A": 2.0}
)
"""How much better the second answer is."""
_RATINGS = range(7)
_POINTS = range(4)


def share(reply: str) -> float | None:
    """The whole reply as a number from 0 to 1: MM-Vet in VLMEvalKit."""
    number = _number(reply)
    return number if number is not None and 0 <= number <= 1 else None


def first_share(reply: str) -> float | None:
    """Its first word as a number from 0 to 1: MM-Vet's own script, and lmms-eval."""
    return share(reply.split(" ")[0].strip())


def pair(reply: str) -> tuple[float, float] | None:
    """The two numbers of the first line, with a comma or one space between them: LLaVA-Bench."""
    words = reply.split("\n")[0].replace(",", " ").split(" ")
    numbers = [_number(word) for word in words]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        return None
    return numbers[0], numbers[1]


def rating(reply: str) -> float | None:
    """The one k of `Rating: k` from 0 to 6: MMHal; of none or several its script makes 0."""
    found = [k for k in _RATINGS if f"rating: {k}" in reply.lower()]
    return float(found[0]) if len(found) == 1 else None


def preference(reply: str) -> float | None:
    """The one verdict `[[A>B]]`, -2 (first much better) to 2 (second much better): WildVision."""
    found = set(_PREFERENCE.findall(reply))
    return PREFERENCES.get(found.pop()) if len(found) == 1 else None


def points(reply: str) -> float | None:
    """A whole number from 0 to 3: MMBench-Video."""
    text = reply.strip()
    return float(text) if text.isdecimal() and int(text[:4]) in _POINTS else None


def same(reply: str) -> float | None:
    """`0` or `1`: MathVerse and OlympiadBench."""
    text = reply.strip()
    return float(text) if text in ("0", "1") else None


def graded(reply: str) -> float | None:
    """`score` of a JSON object that also holds `extracted_answer`: CharXiv."""
    try:
        said = json.loads(reply)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not {"score", "extracted_answer"} <= set(said):
        return None
    return _number(str(said["score"]))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number else None


MARKS: Mapping[str, Callable[[str], float | None]] = MappingProxyType(
    {"share": share, "first_share": first_share, "rating": rating, "preference": preference}
    | {"points": points, "same": same, "graded": graded}
)
"""By the name that a judge's file gives; `pair` is apart."""
