"""Drawn pictures for heads on a vision encoder: one thing and its class, or several and a class for every
pixel."""

from random import Random

import PIL.Image

from tessera.playground.drawings.marks import COLOR_NAMES, SHAPES, Canvas, shape_mask
from tessera.playground.drawings.things import Thing, paint, plan_things
from tessera.runtime.seeds import derive_seed

THINGS = tuple(f"{color} {shape}" for color in COLOR_NAMES for shape in SHAPES)
"""Classes of pictures with one thing: every colour of every shape."""
PIXELS = ("background", *SHAPES)
"""Classes of pixels."""
Side = tuple[int, int]


def draw_thing(seed: int, size: Side = (64, 64), level: int = 2) -> tuple[PIL.Image.Image, int]:
    """A picture (RGB) of one thing, small or big, in one of five places, and its class among THINGS."""
    rng = Random(derive_seed("playground", "thing", seed, level, *size))
    label = rng.randrange(len(THINGS))
    color, shape = THINGS[label].split()
    thing = Thing(shape, color, rng.random() < 0.5, rng.randrange(5))
    return paint([thing], Canvas(size, level, rng)), label


def draw_masked(seed: int, size: Side = (64, 64), level: int = 2) -> tuple[PIL.Image.Image, PIL.Image.Image]:
    """A picture (RGB) of one to five things, and a mask ("L") with the number among PIXELS of every pixel.

    A pixel is a thing's where the thing covers half of it or more.
    """
    rng = Random(derive_seed("playground", "masked", seed, level, *size))
    things = plan_things(rng, level).things
    image = paint(things, Canvas(size, level, rng))
    mask = PIL.Image.new("L", size)
    for thing in things:
        left, top, right, _ = thing.pixels
        covered = shape_mask(thing.shape, right - left).point(lambda value: 255 * (value >= 128))
        mask.paste(PIXELS.index(thing.shape), (left, top), covered)
    return image, mask
