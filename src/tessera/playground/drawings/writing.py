"""Lines of writing, as large as fits, with a region for every character that can be named."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tessera.playground.drawings.marks import Canvas, Rgb, glyph, letter_gap, text_extent
from tessera.playground.parts import Region

FONT_SIZES = (42, 38, 34, 31, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10)
"""In canvas units, largest first; the largest that fits is used, now and then a smaller one."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of writing, and what one character and the whole of it are called; "+" has no name."""

    text: str
    unit: str
    whole: str


def draw_lines(canvas: Canvas, lines: list[Line], beside: bool, ink: Rgb, rng: Random) -> list[Region]:
    """Write lines beside or below one another, each in an equal part of the canvas, as large as fits."""
    regions: list[Region] = []
    part = (canvas.width if beside else canvas.height) // len(lines)
    for index, line in enumerate(lines):
        low, high = index * part, (index + 1) * part
        below = (1, low + 1, canvas.width - 1, high - 1)
        room = (low + 3, 1, high - 3, canvas.height - 1) if beside else below
        regions += _draw_in(canvas, line, room, ink, rng)
    return regions


def _fit(text: str, width: int, height: int, unit: float, rng: Random) -> int:
    """Font size in pixels: the largest that fits, sometimes one or two steps smaller."""
    sizes = [round(size * unit) for size in FONT_SIZES]
    for step, size in enumerate(sizes):
        extent, top, bottom = text_extent(text, size)
        if extent <= width and bottom - top <= height:
            return sizes[min(step + int(rng.random() * 2), len(sizes) - 1)]
    raise ValueError(f"text {text!r} does not fit {width} x {height} pixels: write less or draw larger")


def _draw_in(
    canvas: Canvas, line: Line, room: tuple[int, int, int, int], ink: Rgb, rng: Random
) -> list[Region]:
    """Write one line inside a pixel rectangle, near its middle; a region a named character and one in all."""
    x0, y0, x1, y1 = room
    size = _fit(line.text, x1 - x0, y1 - y0, canvas.unit, rng)
    width, top, bottom = text_extent(line.text, size)
    x = _near_middle(x0, x1 - width, rng)
    base = _near_middle(y0, y1 - (bottom - top), rng) - top
    start, regions = x, []
    for character in line.text:
        mark = glyph(character, size)
        box = (x, base + mark.top, x + mark.mask.width, base + mark.bottom)
        canvas.stamp(mark.mask, ink, x, box[1])
        if character.isalnum():
            regions.append(Region(f"{line.unit} {character}", canvas.share(box)))
        x += mark.mask.width + letter_gap(size)
    named_start = min(r.box[0] for r in regions)
    whole = canvas.share((start, base + top, x - letter_gap(size), base + bottom))
    regions.append(Region(line.whole, (named_start, *whole[1:])))
    return regions


def _near_middle(low: int, high: int, rng: Random) -> int:
    """An integer between two, at most a tenth of a tile's side from their middle."""
    middle = (low + high) // 2
    return min(max(middle + rng.randint(-4, 4), low), max(high, low))
