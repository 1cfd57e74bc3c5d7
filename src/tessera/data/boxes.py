"""Are the boxes in a text well formed? `<box>[[x1, y1, x2, y2], …]</box>`, integers 0 to 1000 (facts 5.6)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_BOX = re.compile(r"<box>(.*?)</box>", re.DOTALL)
LARGEST = 1000


def box_problems(text: str, strict: bool) -> Iterator[str]:
    """Every problem of every box. Not strict (questions): a box without numbers is an example of the form."""
    if strict and text.count("<box>") != text.count("</box>"):
        yield f"{text.count('<box>')} <box> but {text.count('</box>')} </box>"
    for match in _BOX.finditer(text):
        content = match.group(1).strip()
        if not strict and not any(character.isdigit() for character in content):
            continue
        try:
            boxes = json.loads(content)
        except json.JSONDecodeError:
            boxes = None
        if not isinstance(boxes, list) or not boxes:
            if strict:
                yield f"{content[:60]!r} is not a list of boxes"
            continue
        yield from (problem for box in boxes if (problem := _problem(box)))


def _problem(box: object) -> str | None:
    """What is wrong with one box, or None."""
    if not isinstance(box, list) or len(box) != 4 or not all(type(side) in (int, float) for side in box):
        return f"{box!r} is not four numbers"
    if any(type(side) is float for side in box):
        hint = " (fractions of the picture? multiply by 1000)" if max(box) <= 1 else ""
        return f"{box} has numbers that are not integers{hint}"
    if min(box) < 0 or max(box) > LARGEST:
        return f"{box} leaves 0 to {LARGEST}"
    if box[0] > box[2] or box[1] > box[3]:
        return f"{box} is inverted"
    return None
