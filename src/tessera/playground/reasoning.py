"""Questions that take several steps, with the steps written out: bars, digits and things.

An answer has short steps parted by a blank line, the last of them `Final answer: X`
(docs/facts/preferences.md), so that it can be scored, split and judged like a large model's.
"""

from random import Random

from tessera.chat.message import Image
from tessera.playground.chart import draw_bars
from tessera.playground.drawings.marks import COLOR_NAMES, DARK_INK, LIGHT_INK, Canvas
from tessera.playground.drawings.things import describe_things, paint, plan_things, thing_regions
from tessera.playground.drawings.writing import draw_lines
from tessera.playground.parts import Region, Scene
from tessera.playground.questions.asker import Asker
from tessera.playground.questions.steps import ask_about_bars, ask_about_counts, ask_about_digits

BARS = {1: (3, 3), 2: (3, 4), 3: (4, 5)}
HIGHEST = {1: 5, 2: 9, 3: 9}
"""The largest value of a bar or of a digit, by level."""
Drawn = tuple[Image, tuple[Region, ...], str, Asker]
"""The picture, its regions and caption, and the questions about it."""


def reasoning_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """Bars (half of the scenes), a number, or things, with questions about several of them."""
    draw = rng.choice((_bars, _bars, _number, _things))
    image, regions, caption, asker = draw(rng, size, level)
    return Scene("reasoning", (image,), caption, regions, tuple(asker.questions))


def _bars(rng: Random, size: tuple[int, int], level: int) -> Drawn:
    count = rng.randint(*BARS[level])
    bars = [(color, rng.randint(1, HIGHEST[level])) for color in rng.sample(COLOR_NAMES, count)]
    canvas, asker = Canvas(size, level, rng), Asker(rng)
    regions = draw_bars(canvas, bars)
    ask_about_bars(asker, bars)
    caption = f"a chart with {count} bars. " + " ".join(f"{color} {value}." for color, value in bars)
    return Image(canvas.finished()), tuple(regions), caption, asker


def _number(rng: Random, size: tuple[int, int], level: int) -> Drawn:
    digits = (rng.randint(1, HIGHEST[level]), rng.randint(1, HIGHEST[level]), rng.randint(1, HIGHEST[level]))
    number = "".join(map(str, digits))
    canvas, asker = Canvas(size, level, rng), Asker(rng)
    regions = draw_lines(canvas, [number], False, rng.choice(LIGHT_INK if canvas.dark else DARK_INK))
    ask_about_digits(asker, digits)
    caption = f"the number is {number}. the digits are {' '.join(number)}."
    return Image(canvas.finished()), tuple(regions), caption, asker


def _things(rng: Random, size: tuple[int, int], level: int) -> Drawn:
    plan = plan_things(rng, level)
    image, asker = paint(plan.things, Canvas(size, level, rng)), Asker(rng)
    ask_about_counts(asker, plan)
    return Image(image), thing_regions(plan.things), describe_things(plan.things), asker
