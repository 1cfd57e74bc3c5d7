"""Coloured shapes on a plain background: planning, placing, drawing and describing them."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import PIL.Image

from tessera.playground.drawings.marks import COLOR_NAMES, SHAPES, Canvas, PixelBox, shape_mask
from tessera.playground.parts import Region, UnitBox

PLACES = ("top left", "top right", "middle", "bottom left", "bottom right")
"""In reading order; the index of a place is its slot."""
MIDDLE = 2
SLOTS = ((0, 2, 1, 0, 2), (0, 0, 1, 2, 2))
"""Column and row of every slot."""
LIMITS = {1: (1, 3), 2: (1, 5), 3: (3, 5)}
"""Fewest and most things in a picture, by level."""


@dataclass(slots=True)
class Thing:
    """One object of a picture; `box` (shares) and `pixels` are set when it is placed."""

    shape: str
    color: str
    big: bool
    slot: int
    pixels: PixelBox = (0, 0, 0, 0)
    box: UnitBox = (0.0, 0.0, 0.0, 0.0)

    @property
    def size(self) -> str:
        return "big" if self.big else "small"

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"

    @property
    def full_name(self) -> str:
        return f"{self.size} {self.color} {self.shape}"

    @property
    def place(self) -> str:
        """Where it lies, one of PLACES."""
        return PLACES[self.slot]

    @property
    def where(self) -> str:
        """The place with its preposition."""
        return "in the middle" if self.slot == MIDDLE else f"at the {self.place}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The things of a picture and the two values whose counts were chosen before drawing."""

    things: list[Thing]
    shape: str
    color: str


def plan_things(rng: Random, level: int) -> Plan:
    """Choose things so that counts of one shape and of one colour are spread evenly, zero included.

    The count of one of the two is drawn first and flat; only then the number of things that allows it.
    """
    low, high = LIMITS[level]
    wanted = rng.randint(0, high)
    total = max(wanted, low) if rng.random() < 0.35 and wanted else rng.randint(max(low, wanted), high)
    other = rng.randint(0, total)
    shape_count, color_count = (wanted, other) if rng.random() < 0.5 else (other, wanted)
    shape, color = rng.choice(SHAPES), rng.choice(COLOR_NAMES)
    shapes = _spread(rng, SHAPES, shape, shape_count, total)
    colors = _spread(rng, COLOR_NAMES, color, color_count, total)
    big_count = rng.randint(0, total)
    bigs = [True] * big_count + [False] * (total - big_count)
    rng.shuffle(bigs)
    slots = sorted(rng.sample(range(5), total))
    things = [Thing(s, c, b, slot) for s, c, b, slot in zip(shapes, colors, bigs, slots, strict=True)]
    return Plan(things, shape, color)


def _spread(rng: Random, values: Sequence[str], value: str, count: int, total: int) -> list[str]:
    """`total` values in random order of which exactly `count` are `value`."""
    others = [v for v in values if v != value]
    chosen = [value] * count + [rng.choice(others) for _ in range(total - count)]
    rng.shuffle(chosen)
    return chosen


def place_things(things: Sequence[Thing], canvas: Canvas) -> None:
    """Give every thing its box inside its slot, without overlap, at integer pixels."""
    rng, middle = canvas.rng, None
    for thing in sorted(things, key=lambda t: t.slot != MIDDLE):
        side = rng.randint(19, 22) if thing.big else rng.randint(11, 13)
        if thing.slot == MIDDLE:
            middle = thing
            side = min(side, 20)
            x, y = (32 - side // 2 + rng.randint(-1, 1) for _ in range(2))
        else:
            x, y, side = _corner(thing.slot, side, middle, rng)
        # From canvas units to pixels: on a long canvas centres spread out and sides stay.
        length = round(side * canvas.unit)
        left = round((x + side / 2) * canvas.scale_x - length / 2)
        top = round((y + side / 2) * canvas.scale_y - length / 2)
        thing.pixels = (left, top, left + length, top + length)
        thing.box = canvas.share(thing.pixels)


def _corner(slot: int, side: int, middle: Thing | None, rng: Random) -> tuple[int, int, int]:
    """Left, top and side (canvas units) in a quarter of the canvas, clear of the middle thing."""
    side, edge = (min(side, 18), 19) if middle and middle.big else (side, 23)
    reach = 30 - side
    x, y = rng.randint(1, reach), rng.randint(1, reach)
    if middle and x + side > edge and y + side > edge:
        if rng.random() < 0.5:
            x = rng.randint(1, edge - side)
        else:
            y = rng.randint(1, edge - side)
    x, y = (64 - at - side if places[slot] else at for at, places in zip((x, y), SLOTS, strict=True))
    return x, y, side


def draw_things(things: Sequence[Thing], canvas: Canvas) -> None:
    """Stamp placed things on the canvas."""
    for thing in things:
        x0, y0, x1, _ = thing.pixels
        canvas.stamp(shape_mask(thing.shape, x1 - x0), canvas.shade(thing.color), x0, y0)


def paint(things: Sequence[Thing], canvas: Canvas) -> PIL.Image.Image:
    """The picture of things, placed and drawn on an empty canvas."""
    place_things(things, canvas)
    draw_things(things, canvas)
    return canvas.finished()


def describe_things(things: Sequence[Thing]) -> str:
    """The caption: how many, then each in reading order with size, colour, shape and place."""
    parts = ["there is 1 thing." if len(things) == 1 else f"there are {len(things)} things."]
    parts += [f"a {t.full_name} {t.where}." for t in sorted(things, key=lambda t: t.slot)]
    return " ".join(parts)


def thing_regions(things: Sequence[Thing]) -> tuple[Region, ...]:
    """One region a thing, in the caption's order."""
    return tuple(Region(t.full_name, t.box) for t in sorted(things, key=lambda t: t.slot))
