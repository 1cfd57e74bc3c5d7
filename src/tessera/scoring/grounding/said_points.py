"""Which point an answer says, as shares of the picture or in pixels: one reader for each house."""

from __future__ import annotations

import re

from tessera.scoring.boxes import parse_boxes

Point = tuple[float, float]
_BOX_IN_THOUSANDTHS = re.compile(r"\[\[(\d+), (\d+), (\d+), (\d+)\]\]")
_CLICK = re.compile(r"x=([\d.]+), y=([\d.]+)")
_TOKEN = r"-?\d+(?:\.\d+)?%?"
_BOX_TAG = re.compile(r"<\s*bbox[^>]*>(.*?)<\s*/\s*bbox\s*>", re.IGNORECASE | re.DOTALL)
_PAIR = re.compile(rf"[\[\(]\s*({_TOKEN})\s*(?:,|\s)\s*({_TOKEN})\s*[\]\)]")
_X, _Y = (re.compile(rf"['\"]?{name}['\"]?\s*[:=]\s*({_TOKEN})", re.IGNORECASE) for name in "xy")
_BOX_WORDS = ("bbox", "box", "rect", "rectangle")
_POINT_TAG = re.compile(r"<point[^>]*>(.*?)</point>", re.DOTALL)
_TWO = re.compile(r"[\[\(]\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*[\]\)]")


def click_point(prediction: str) -> Point | None:
    """Middle of the first `[[x1, y1, x2, y2]]` in thousandths, else `x=…, y=…`, else the corner at 0, 0.

    VLMEvalKit's, with what its InternVL model makes of the reply. None where the numbers are none.
    """
    if found := _BOX_IN_THOUSANDTHS.search(prediction):
        x0, y0, x1, y1 = map(int, found.groups())
        return (x0 + x1) / 2 / 1000, (y0 + y1) / 2 / 1000
    found = _CLICK.search(prediction)
    try:
        return (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    except ValueError:
        return None


def any_numbers(prediction: str) -> Point | None:
    """lmms-eval's: a `<bbox>`, a pair in brackets, `x: … y: …`, a box in words, or two numbers.

    A number with `%` is divided by 100.
    """
    if found := _BOX_TAG.search(prediction):
        inside = re.findall(_TOKEN, found[1])
        if len(inside) >= 4:
            return _middle(inside)
    if found := _PAIR.search(prediction):
        return _value(found[1]), _value(found[2])
    if (across := _X.search(prediction)) and (down := _Y.search(prediction, across.end())):
        return _value(across[1]), _value(down[1])
    numbers = re.findall(_TOKEN, prediction)
    if len(numbers) >= 4 and any(word in prediction.lower() for word in _BOX_WORDS):
        return _middle(numbers)
    return (_value(numbers[0]), _value(numbers[1])) if len(numbers) >= 2 else None


def marked_point(prediction: str) -> Point | None:
    """`<point>[[x, y]]</point>`, `[[x, y]]` or `(x, y)`, else the middle of the first box; in shares.

    The form of the cards: thousandths, unless both numbers are at most 1.
    """
    tag = _POINT_TAG.search(prediction)
    if found := _TWO.search(tag[1] if tag else prediction):
        x, y = float(found[1]), float(found[2])
        return (x, y) if max(x, y) <= 1 else (x / 1000, y / 1000)
    boxes = parse_boxes(prediction)
    return ((boxes[0][0] + boxes[0][2]) / 2, (boxes[0][1] + boxes[0][3]) / 2) if boxes else None


def _value(token: str) -> float:
    return float(token[:-1]) / 100 if token.endswith("%") else float(token)


def _middle(tokens: list[str]) -> Point:
    x0, y0, x1, y1 = map(_value, tokens[:4])
    return (x0 + x1) / 2, (y0 + y1) / 2
