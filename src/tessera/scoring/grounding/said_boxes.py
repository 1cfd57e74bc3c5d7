"""Which box an answer says: one reader for each house."""

from __future__ import annotations

import json
import re
from typing import Any

from tessera.scoring.boxes import Box
from tessera.scoring.grounding.truth import Size

NO_BOX: Box = (0.0, 0.0, 0.0, 0.0)
"""What the published scripts take for the box of an answer without one."""
_TO_COMMA = r"([^,\n]*+),"
_FIRST = re.compile(rf"(?<!\[)\[++{_TO_COMMA}{_TO_COMMA}{_TO_COMMA}([^\]\n]*+)\]++")
"""The published `[*[(.*?),(.*?),(.*?),(.*?)]]*` on one line, in time that doesn't explode."""
_PLAIN = re.compile(r"\[\s*" + r",\s*".join([r"(-?\d+(?:\.\d+)?)"] * 4) + r"\s*\]")
_NUMBER = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?"
_SPACED = re.compile(r"\[\s*" + r"(?:\s*,\s*|\s+)".join([f"({_NUMBER})"] * 4) + r"\s*\]")
_LARGEST_SHARE = 1.5
_THOUSAND = 1000.0


def official_box(prediction: str) -> Box | None:
    """The first four texts between brackets and commas on a line, if all are numbers that `float` reads."""
    found = _first(prediction)
    try:
        return _box(found.groups()) if found else None
    except ValueError:
        return None


def plain_box(prediction: str) -> Box | None:
    """The first `[a, b, c, d]` of plain numbers: lmms-eval."""
    found = _PLAIN.search(prediction)
    return _box(found.groups()) if found else None


def spaced_box(prediction: str) -> Box | None:
    """The first four numbers in brackets, with commas or spaces, else the first four of all: VLMEvalKit."""
    found = _SPACED.search(prediction)
    numbers = found.groups() if found else re.findall(_NUMBER, prediction)[:4]
    return _box(numbers) if len(numbers) == 4 else None


def listed_box(prediction: str, size: Size) -> Box | None:
    """The first `[[a, b, c, d]]` that is JSON, from thousandths to pixels within the picture: DIOR-RSVG."""
    found = _first(prediction)
    try:
        x0, y0, x1, y1 = json.loads(found[0] if found else "")[0]
        return (
            *(_within(x0, size[0]), _within(y0, size[1])),
            *(_within(x1, size[0]), _within(y1, size[1])),
        )
    except (ValueError, TypeError, LookupError):
        return None


def stretched(box: Box, size: Size) -> Box:
    """VLMEvalKit's guess of the unit: shares up to 1.5, thousandths up to 1000, else pixels.

    Then cut at the picture's border, and turned so that its sides are positive.
    """
    largest = max(map(abs, box))
    scale = 1.0 if largest <= _LARGEST_SHARE else _THOUSAND
    wide, high = size
    if largest <= _THOUSAND:
        box = box[0] / scale * wide, box[1] / scale * high, box[2] / scale * wide, box[3] / scale * high
    x = sorted((min(max(box[0], 0.0), wide), min(max(box[2], 0.0), wide)))
    y = sorted((min(max(box[1], 0.0), high), min(max(box[3], 0.0), high)))
    return x[0], y[0], x[1], y[1]


def _first(prediction: str) -> re.Match[str] | None:
    """The first match: on each line only up to its last bracket, without which there is none."""
    lines = (line[: line.rfind("]") + 1] for line in prediction.split("\n"))
    return next(filter(None, map(_FIRST.search, lines)), None)


def _within(value: Any, side: float) -> float:
    return float(min(max(value / _THOUSAND * side, 0), side))


def _box(numbers: Any) -> Box:
    x0, y0, x1, y1 = map(float, numbers)
    return x0, y0, x1, y1
