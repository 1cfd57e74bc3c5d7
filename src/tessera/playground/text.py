"""Words and numbers written large on one or two lines, with questions about letters and values."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tessera.chat.message import Image
from tessera.playground.asker import Asker
from tessera.playground.marks import (
    DARK_INK,
    LIGHT_INK,
    Canvas,
    Rgb,
    add_noise,
    choose_background,
    glyph,
    letter_gap,
    text_extent,
)
from tessera.playground.parts import Region, Scene
from tessera.playground.text_questions import ask_number, ask_sum, ask_two_words, ask_word
from tessera.playground.words import WORDS

FONT_SIZES = (42, 38, 34, 31, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10)
"""In canvas units, largest first; the largest that fits is used, now and then a smaller one."""
WORD_LENGTHS = {1: (3,), 2: (3, 4), 3: (4, 5)}
MOST_DIGITS = {1: 2, 2: 3, 3: 3}
HIGHEST_TERM = {1: 5, 2: 20, 3: 60}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of writing, and what one character and the whole of it are called; "+" has no name."""

    text: str
    unit: str
    whole: str


def text_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """A word, a number, two numbers to add, or (wide canvas, or level 3) two words."""
    asker = Asker(rng)
    wide = size[0] > size[1] * 1.5
    lines, caption = _write(asker, level, wide)
    background, dark = choose_background(rng)
    canvas = Canvas(size, background)
    ink = rng.choice(LIGHT_INK if dark else DARK_INK)
    beside = wide and lines[-1].unit == "letter"
    regions = draw_row(canvas, lines, ink, rng) if beside else draw_lines(canvas, lines, ink, rng)
    whole = [r for r in regions if r.phrase.startswith(("word", "number"))]
    single = [r for r in regions if r not in whole and sum(q.phrase == r.phrase for q in regions) == 1]
    for group in (whole, single):
        if group:
            region = rng.choice(group)
            asker.add_box(region.phrase, region.box)
    image = add_noise(canvas.image, rng) if level >= 3 else canvas.image
    return Scene("text", (Image(image),), caption, tuple(regions), tuple(asker.questions))


def _write(asker: Asker, level: int, wide: bool) -> tuple[list[Line], str]:
    """Choose what is written, ask about it, and return the lines with their caption."""
    rng = asker.rng
    draw = rng.random()
    if (wide or level >= 3) and draw < 0.4:
        first, second = choose_word(rng, level), choose_word(rng, level)
        return [_word(first), _word(second)], ask_two_words(asker, first, second)
    if draw < 0.55:
        word = choose_word(rng, level)
        return [_word(word)], ask_word(asker, word)
    if draw < 0.8:
        number = choose_number(rng, MOST_DIGITS[level] + (2 if wide else 0))
        return [_number(str(number))], ask_number(asker, number)
    one, two = rng.randint(1, HIGHEST_TERM[level]), rng.randint(1, 9)
    if rng.random() < 0.5:
        one, two = two, one
    return [_number(str(one)), Line(f"+{two}", "digit", f"number {two}")], ask_sum(asker, one, two)


def choose_word(rng: Random, level: int) -> str:
    """A word; its length is chosen first, so that lengths are equally frequent."""
    return rng.choice(WORDS[rng.choice(WORD_LENGTHS[level])])


def choose_number(rng: Random, most_digits: int) -> int:
    """A number of one to `most_digits` digits, every length equally often."""
    digits = rng.randint(1, most_digits)
    return rng.randint(10 ** (digits - 1) if digits > 1 else 0, 10**digits - 1)


def _word(text: str) -> Line:
    return Line(text, "letter", f"word {text}")


def _number(text: str) -> Line:
    return Line(text, "digit", f"number {text}")


def draw_lines(canvas: Canvas, lines: list[Line], ink: Rgb, rng: Random) -> list[Region]:
    """Write lines below one another, each in an equal band of the canvas, as large as fits."""
    regions: list[Region] = []
    band = canvas.height // len(lines)
    for index, line in enumerate(lines):
        regions += _draw_in(
            canvas, line, (1, index * band + 1, canvas.width - 1, (index + 1) * band - 1), ink, rng
        )
    return regions


def draw_row(canvas: Canvas, lines: list[Line], ink: Rgb, rng: Random) -> list[Region]:
    """Write lines beside one another, each in an equal part of the width."""
    regions: list[Region] = []
    part = canvas.width // len(lines)
    for index, line in enumerate(lines):
        regions += _draw_in(
            canvas, line, (index * part + 3, 1, (index + 1) * part - 3, canvas.height - 1), ink, rng
        )
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
