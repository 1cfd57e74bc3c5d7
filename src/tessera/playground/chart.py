"""Bar charts: three to five coloured bars of whole heights over light grid lines."""

from collections import Counter
from random import Random

from PIL import ImageDraw

from tessera.chat.message import Image
from tessera.playground.drawings.marks import COLOR_NAMES, Canvas
from tessera.playground.parts import Region, Scene
from tessera.playground.questions.asker import YES_NO, Asker

BARS = {1: (3, 3), 2: (3, 4), 3: (4, 5)}
HIGHEST = {1: 5, 2: 9, 3: 9}
"""The largest value of a bar, by level; a unit is as high as the canvas allows."""
TOP, FLOOR = 3, 60
"""Canvas units: the height of the largest value, and the axis."""

Bar = tuple[str, int]


def chart_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """One chart with its questions; values are drawn flat from 1 to the level's highest."""
    count = rng.randint(*BARS[level])
    bars = [(color, rng.randint(1, HIGHEST[level])) for color in rng.sample(COLOR_NAMES, count)]
    canvas = Canvas(size, level, rng)
    regions = draw_bars(canvas, bars)
    asker = Asker(rng)
    _ask_reads(asker, bars)
    _ask_pairs(asker, bars)
    region = rng.choice(regions)
    asker.add_box(region.phrase.rsplit(" ", 1)[0], region.box)
    caption = f"a chart with {count} bars. " + " ".join(f"{color} {value}." for color, value in bars)
    return Scene("chart", (Image(canvas.finished()),), caption, tuple(regions), tuple(asker.questions))


def draw_bars(canvas: Canvas, bars: list[Bar]) -> list[Region]:
    """Grid, bars and axis; returns the bars' regions ("red bar 7") from left to right."""
    pen, rng, highest = ImageDraw.Draw(canvas.image), canvas.rng, HIGHEST[canvas.level]
    unit = (FLOOR - TOP) // highest
    heights = [round((FLOOR - value * unit) * canvas.scale_y) for value in range(highest + 1)]
    grid, axis = [(grey,) * 3 for grey in ((80, 255) if canvas.dark else (190, 0))]
    floor, left, right = heights[0], round(4 * canvas.scale_x), round(62 * canvas.scale_x)
    for y in heights[1:]:
        pen.line((left, y, right, y), fill=grid)
    pitch = (right - left) // len(bars)
    width = pitch - max(2, round((3 + rng.randint(0, 1)) * canvas.unit))
    start = left + rng.randint(1, max(1, right - left - pitch * len(bars) + pitch - width - 1))
    regions = []
    for index, (color, value) in enumerate(bars):
        x, top = start + index * pitch, heights[value]
        pen.rectangle((x, top, x + width - 1, floor - 1), fill=canvas.shade(color))
        regions.append(Region(f"{color} bar {value}", canvas.share((x, top, x + width, floor))))
    pen.line((left - 1, floor, right, floor), fill=axis)
    pen.line((left - 1, round(2 * canvas.scale_y), left - 1, floor), fill=axis)
    return regions


def _ask_reads(asker: Asker, bars: list[Bar]) -> None:
    """Highest, lowest, single values, the number and the order of bars."""
    rng = asker.rng
    values = [value for _, value in bars]
    frequency = Counter(values)
    for kind, extreme in (("highest", max(values)), ("lowest", min(values))):
        if frequency[extreme] == 1:
            asker.add("chart", kind, bars[values.index(extreme)][0])
    for color, value in rng.sample(bars, 2):
        asker.add("chart", "value", str(value), color)
    color, value = rng.choice(bars)
    if frequency[value] == 1:
        asker.add("chart", "bar_color", color, value)
    asker.add("chart", "bars", str(len(bars)))
    place = rng.randrange(len(bars))
    asker.add("chart", "nth_bar", bars[place][0], place + 1)


def _ask_pairs(asker: Asker, bars: list[Bar]) -> None:
    """Comparisons, sums and differences of two bars; for yes and no the answer is chosen first."""
    rng = asker.rng
    (one, m), (two, n) = rng.sample(bars, 2)
    if m != n:
        answer = rng.random() < 0.5
        first, second = (one, two) if (m > n) == answer else (two, one)
        asker.add("chart", "is_higher", YES_NO[answer], first, second)
    (one, m), (two, n) = rng.sample(bars, 2)
    if m != n:
        asker.add("chart", "which_higher", one if m > n else two, one, two)
    (one, m), (two, n) = rng.sample(bars, 2)
    asker.add_steps("bar_sum", f"{one} {m}, {two} {n}, ", (m, "+", n), one, two)
    (one, m), (two, n) = sorted(rng.sample(bars, 2), key=lambda bar: -bar[1])
    asker.add_steps("bar_difference", f"{one} {m}, {two} {n}, ", (m, "-", n), one, two)
