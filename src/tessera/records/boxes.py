"""Are the boxes in a text well formed? `<box>[[x1, y1, x2, y2], …]</box>`, integers 0 to 1000
(docs/facts/data.md)."""

import json
from collections.abc import Iterator

from tessera.runtime.shown import shown

LARGEST = 1000
_OPEN, _CLOSE = "<box>", "</box>"


def box_problems(text: str, strict: bool) -> Iterator[str]:
    """Every problem of every box. Not strict (questions): a box without numbers is an example of the form."""
    if _OPEN not in text and _CLOSE not in text:
        return
    if strict and text.count(_OPEN) != text.count(_CLOSE):
        yield f"{text.count(_OPEN)} <box> but {text.count(_CLOSE)} </box>"
    for content in _contents(text):
        if not strict and not any(character.isdigit() for character in content):
            continue
        boxes = _parsed(content)
        if not isinstance(boxes, list) or not boxes:
            if strict:
                yield f"{shown(content)} is not a list of boxes"
            continue
        yield from (problem for box in boxes if (problem := _problem(box)))


def _contents(text: str) -> Iterator[str]:
    """What stands in every box, in one pass over the text."""
    start = text.find(_OPEN)
    while start >= 0 and (end := text.find(_CLOSE, start)) >= 0:
        yield text[start + len(_OPEN) : end].strip()
        start = text.find(_OPEN, end)


def _parsed(content: str) -> object:
    """The JSON of a box; None for what is none, is too deep, or holds a number of thousands of digits."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _problem(box: object) -> str | None:
    """What is wrong with one box, or None."""
    if not isinstance(box, list) or len(box) != 4 or not all(type(side) in (int, float) for side in box):
        return f"{shown(box)} is not four numbers"
    if any(type(side) is float for side in box):
        hint = " (fractions of the picture? multiply by 1000)" if max(box) <= 1 else ""
        return f"{shown(box)} has numbers that are not integers{hint}"
    if min(box) < 0 or max(box) > LARGEST:
        return f"{shown(box)} leaves 0 to {LARGEST}"
    if box[0] > box[2] or box[1] > box[3]:
        return f"{shown(box)} is inverted"
    return None
