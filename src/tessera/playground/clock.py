"""Clock faces without numbers: a short hand for the hour, a long one for the minutes.

No recipe that ships trains on them: something new to teach a finished model.
"""

import math
from random import Random

from PIL import ImageDraw

from tessera.chat.message import Image
from tessera.playground.drawings.marks import COLOR_NAMES, DARK_INK, LIGHT_INK, Canvas
from tessera.playground.parts import Region, Scene
from tessera.playground.questions.asker import Asker

MINUTES = {1: (0,), 2: (0, 30), 3: (0, 15, 30, 45)}
"""Minutes that a clock may show, by level."""
RADIUS, SHORT, LONG = 29.0, 13.0, 24.0
"""Canvas units: of the face, and the lengths of the hands."""


def clock_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """One clock with its questions; every time of the level is equally likely."""
    hour, minutes = rng.randint(1, 12), rng.choice(MINUTES[level])
    canvas = Canvas(size, level, rng)
    region = _draw(canvas, hour, minutes)
    asker, time = Asker(rng), f"{hour}:{minutes:02}"
    for _ in range(2):
        asker.add("clock", "time", time)
        asker.add("clock", "hour", str(hour))
        asker.add("clock", "next_hour", str(hour % 12 + 1))
    caption = f"a clock. the time is {time}."
    return Scene("clock", (Image(canvas.finished()),), caption, (region,), tuple(asker.questions))


def _draw(canvas: Canvas, hour: int, minutes: int) -> Region:
    """Face, marks and hands; returns the region of the face."""
    pen, rng, unit = ImageDraw.Draw(canvas.image), canvas.rng, canvas.unit
    centre = tuple((32 + rng.uniform(-2, 2)) * scale for scale in (canvas.scale_x, canvas.scale_y))
    ink = rng.choice(LIGHT_INK if canvas.dark else DARK_INK)

    def at(turns: float, reach: float) -> tuple[float, float]:
        """The point so many turns from the top and so far from the centre."""
        angle = 2 * math.pi * turns
        x, y = centre
        return x + reach * unit * math.sin(angle), y - reach * unit * math.cos(angle)

    box = [side for sign in (-1, 1) for side in (c + sign * RADIUS * unit for c in centre)]
    pen.ellipse(box, outline=canvas.shade(rng.choice(COLOR_NAMES)), width=round(2 * unit))
    for mark in range(12):
        inner = 22 if mark % 3 == 0 else 25
        pen.line((*at(mark / 12, inner), *at(mark / 12, 27)), fill=ink, width=round(unit))
    pen.line((*centre, *at((hour + minutes / 60) / 12, SHORT)), fill=ink, width=round(4 * unit))
    pen.line((*centre, *at(minutes / 60, LONG)), fill=ink, width=round(2 * unit))
    x0, y0, x1, y1 = (round(side) for side in box)
    return Region("clock", canvas.share((x0, y0, x1 + 1, y1 + 1)))
