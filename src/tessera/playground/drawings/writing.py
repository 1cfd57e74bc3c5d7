"""Lines of writing, as large as fits, with a region for every character that can be named."""

from random import Random

from tessera.playground.drawings.marks import Canvas, PixelBox, Rgb, glyph, letter_gap, text_extent
from tessera.playground.parts import Region

FONT_SIZES = (42, 38, 34, 31, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10)
"""In canvas units, largest first; the largest that fits is used, now and then a smaller one."""


def draw_lines(canvas: Canvas, lines: list[str], beside: bool, ink: Rgb) -> list[Region]:
    """Write words and numbers beside or below one another, each in an equal part, as large as fits."""
    regions: list[Region] = []
    part = (canvas.width if beside else canvas.height) // len(lines)
    for index, line in enumerate(lines):
        low, high = index * part, (index + 1) * part
        below = (1, low + 1, canvas.width - 1, high - 1)
        room = (low + 3, 1, high - 3, canvas.height - 1) if beside else below
        regions += _draw_in(canvas, line, room, ink)
    return regions


def _fit(canvas: Canvas, text: str, width: int, height: int) -> int:
    """Font size in pixels: the largest that fits, sometimes one step smaller."""
    sizes = [round(size * canvas.unit) for size in FONT_SIZES]
    for step, size in enumerate(sizes):
        extent, top, bottom = text_extent(text, size)
        if extent <= width and bottom - top <= height:
            return sizes[min(step + int(canvas.rng.random() * 2), len(sizes) - 1)]
    raise ValueError(f"text {text!r} does not fit {width} x {height} pixels: write less or draw larger")


def _draw_in(canvas: Canvas, line: str, room: PixelBox, ink: Rgb) -> list[Region]:
    """Write one line inside a pixel rectangle, near its middle; a region a letter or digit and one in all."""
    unit, whole = ("letter", "word") if line.isalpha() else ("digit", "number")
    x0, y0, x1, y1 = room
    size = _fit(canvas, line, x1 - x0, y1 - y0)
    width, top, bottom = text_extent(line, size)
    x = _near_middle(x0, x1 - width, canvas.rng)
    base = _near_middle(y0, y1 - (bottom - top), canvas.rng) - top
    start, regions = x, []
    for character in line:
        mark = glyph(character, size)
        box = (x, base + mark.top, x + mark.mask.width, base + mark.bottom)
        canvas.stamp(mark.mask, ink, x, box[1])
        if character.isalnum():
            regions.append(Region(f"{unit} {character}", canvas.share(box)))
        x += mark.mask.width + letter_gap(size)
    # The sign in front of a number has no name, and is no part of it.
    left = min(region.box[0] for region in regions)
    extent = canvas.share((start, base + top, x - letter_gap(size), base + bottom))
    return [*regions, Region(f"{whole} {line.lstrip('+')}", (left, *extent[1:]))]


def _near_middle(low: int, high: int, rng: Random) -> int:
    """An integer between two, at most a tenth of a tile's side from their middle."""
    middle = (low + high) // 2
    return min(max(middle + rng.randint(-4, 4), low), max(high, low))
