"""The right box of a question, from columns in any of the usual forms."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tessera.scoring.boxes import Box
from tessera.scoring.settings import one_of
from tessera.scoring.verdict import Reference

Size = tuple[float, float]
"""Width and height in pixels."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


_CORNERS = (("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"), ("x1", "y1", "x2", "y2"))
"""Names that four columns have in published files."""


@dataclass(frozen=True)
class BoxColumns:
    """Where the right box and the picture's size stand.

    box: a column with four numbers (a list, or text), or four columns; where the data have none of it
    `bbox_x1` … or `x1` …, else the answers are read.
    form: xyxy, or xywh. unit: pixels, share (0..1), or thousand. size: a column with width and height, in
    place of two columns.
    """

    box: str | Sequence[str] = "bbox"
    form: str = "xyxy"
    unit: str = "pixels"
    width: str = "width"
    height: str = "height"
    size: str | None = None

    def __post_init__(self) -> None:
        one_of("form", self.form, ("xyxy", "xywh"))
        one_of("unit", self.unit, ("pixels", "share", "thousand"))

    def pixels(self, reference: Reference) -> Box:
        """The box as x1, y1, x2, y2 in pixels."""
        x, y, right, below = self._numbers(reference)
        if self.form == "xywh":
            right, below = x + right, y + below
        if self.unit == "pixels":
            return x, y, right, below
        wide, high = (side / (1 if self.unit == "share" else 1000) for side in self.sides(reference))
        return x * wide, y * high, right * wide, below * high

    def shares(self, reference: Reference) -> Box:
        """The box as shares of width and height."""
        x, y, right, below = self._numbers(reference)
        if self.form == "xywh":
            right, below = x + right, y + below
        if self.unit == "share":
            return x, y, right, below
        wide, high = self.sides(reference) if self.unit == "pixels" else (1000.0, 1000.0)
        return x / wide, y / high, right / wide, below / high

    def sides(self, reference: Reference) -> Size:
        """Width and height of the picture; ValueError where the data do not say them."""
        fields = reference.fields
        given = fields.get(self.size) if self.size else [fields.get(self.width), fields.get(self.height)]
        sides = _floats(given)
        if len(sides) != 2 or min(sides) <= 0:
            names = repr(self.size) if self.size else f"{self.width!r} and {self.height!r}"
            raise ValueError(f"picture's size: {names} hold {str(given)[:60]}; give width and height above 0")
        return sides[0], sides[1]

    def _numbers(self, reference: Reference) -> Box:
        fields = reference.fields
        box = self.box
        given: Any = fields.get(box) if isinstance(box, str) else [fields.get(name) for name in box]
        if given is None:
            columns = next((four for four in _CORNERS if all(name in fields for name in four)), ())
            given = [fields[name] for name in columns] or " ".join(reference.answers)
        numbers = _floats(given)
        if len(numbers) != 4:
            raise ValueError(f"right box: {self.box!r} holds {str(given)[:60]!r}; give four finite numbers")
        return numbers[0], numbers[1], numbers[2], numbers[3]


def _floats(given: Any) -> list[float]:
    """Numbers of a list, or of a text; empty where something is no finite number."""
    if isinstance(given, str):
        return [float(number) for number in _NUMBER.findall(given)]
    try:
        numbers = [float(each) for each in given]
    except (TypeError, ValueError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []
