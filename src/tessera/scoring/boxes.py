"""Boxes in answers: reading the official form and measuring overlap."""

import math
import re
from collections.abc import Iterator

Box = tuple[float, float, float, float]

_NUMBER = r"([^\[\],]{1,64}+)"
_BOX = re.compile(r"\[" + ",".join((_NUMBER,) * 4) + r"\]")


def find_boxes(text: str) -> Iterator[Box]:
    """Every `[x1, y1, x2, y2]` of a text as it stands, in order.

    Four finite numbers in any form that Python's `float` takes: `1e2`, `.1`, `100.`, `+100`, `1_0`.
    """
    for match in _BOX.finditer(text):
        try:
            x0, y0, x1, y1 = map(float, match.groups())
        except ValueError:
            continue
        if all(map(math.isfinite, (x0, y0, x1, y1))):
            yield x0, y0, x1, y1


def parse_boxes(text: str, scale: float = 1000.0) -> list[Box]:
    """All boxes `[x1, y1, x2, y2]` of an answer as shares 0..1, in order (form of docs/facts/data.md).

    As in the official grounding harness, a box whose numbers sum to less than 4 is taken to be in shares
    already; any other is divided by `scale`.

    >>> parse_boxes("<ref>cat</ref><box>[[100, 200, 500, 1000]]</box>")
    [(0.1, 0.2, 0.5, 1.0)]
    """
    boxes: list[Box] = []
    for x0, y0, x1, y1 in find_boxes(text):
        unit = scale if x0 + y0 + x1 + y1 >= 4 else 1.0
        boxes.append((x0 / unit, y0 / unit, x1 / unit, y1 / unit))
    return boxes


def box_area(box: Box) -> float:
    """Width times height; 0 for a box that is turned inside out."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def box_iou(one: Box, two: Box) -> float:
    """Intersection over union, 0..1; 0 when both are empty."""
    overlap = box_area((max(one[0], two[0]), max(one[1], two[1]), min(one[2], two[2]), min(one[3], two[3])))
    union = box_area(one) + box_area(two) - overlap
    return overlap / union if union > 0 else 0.0
