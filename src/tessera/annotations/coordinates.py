"""Boxes in pixels of the original picture to the series' integers 0 to 1000, and back
(docs/facts/data.md)."""

import math
from collections.abc import Sequence
from typing import Any

from tessera.annotations.rejects import Fault, Rejected, SkipReason
from tessera.chat.tokens import BOX_END, BOX_START, QUAD_END, QUAD_START
from tessera.records.boxes import LARGEST
from tessera.runtime.shown import shown

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
Quad = tuple[float, float, float, float, float, float, float, float]
"""Four corners x1, y1 to x4, y4 in pixels, in the annotation's order."""
Size = tuple[int, int]
"""Width and height in pixels."""
LARGEST_PIXEL = 1e9
"""No picture is that wide."""
Scaled = tuple[int, ...]


def scale(pixels: Sequence[float], size: Size) -> Scaled:
    """x and y in turn, in pixels, as integers `round(x / width * 1000)`, kept within 0 to 1000."""
    return tuple(
        min(LARGEST, max(0, round(value / size[number % 2] * LARGEST))) for number, value in enumerate(pixels)
    )


def clip_box(box: Sequence[float], size: Size, smallest: int) -> tuple[Box, bool]:
    """The part of a box inside the picture, and whether anything was cut off.

    Rejected: BAD_BOX for no area or no finite numbers, OUTSIDE_PICTURE when nothing is inside, TINY when a
    side has fewer than `smallest` of the 1000 units.
    """
    left, top, right, bottom = box
    if not all(map(math.isfinite, box)) or right <= left or bottom <= top:
        raise Rejected(Fault.BAD_BOX, f"{_short(box)}")
    width, height = size
    inside = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise Rejected(Fault.OUTSIDE_PICTURE, f"{_short(box)} of {width} x {height}")
    x0, y0, x1, y1 = scale(inside, size)
    if x1 - x0 < smallest or y1 - y0 < smallest:
        raise Rejected(SkipReason.TINY, f"{_short(box)} of {width} x {height}")
    # Half a pixel over the border is rounding of the annotator's tool, not a cut.
    return inside, max(abs(a - b) for a, b in zip(inside, box, strict=True)) > 0.5


def hull(points: Sequence[float]) -> Box:
    """The upright box around points x1, y1, x2, y2, … in pixels."""
    across, down = points[0::2], points[1::2]
    return min(across), min(down), max(across), max(down)


def box_text(boxes: Sequence[Box], size: Size) -> str:
    """`<box>[[x1, y1, x2, y2], …]</box>` of boxes in pixels."""
    return f"{BOX_START}{[list(scale(box, size)) for box in boxes]}{BOX_END}"


def quad_text(quads: Sequence[Quad], size: Size) -> str:
    """`<quad>[[x1, y1, … x4, y4], …]</quad>`: tokens the series reserves; no released model saw them."""
    return f"{QUAD_START}{[list(scale(quad, size)) for quad in quads]}{QUAD_END}"


def numbers(value: Any, count: int, what: str) -> tuple[float, ...]:
    """A list of `count` finite numbers, or of pairs that make as many. Rejected with BAD_BOX for all else."""
    flat = value
    if isinstance(value, list) and value and all(isinstance(pair, list) for pair in value):
        flat = [number for pair in value for number in pair]
    if not isinstance(flat, list) or len(flat) != count or any(type(n) not in (int, float) for n in flat):
        raise Rejected(Fault.BAD_BOX, f"{what} {shown(value)} is not {count} numbers")
    # Beyond this, width and height could add up to infinity; compared as they are, as floats end before ints.
    if not all(-LARGEST_PIXEL < number < LARGEST_PIXEL for number in flat):
        raise Rejected(Fault.BAD_BOX, f"{what} {shown(flat)} has numbers that are not finite, or no pixels")
    return tuple(map(float, flat))


def _short(box: Sequence[float]) -> str:
    return "[" + ", ".join(f"{side:g}" for side in box) + "]"
