"""A part of a picture, drawn at random, as code for classification learns from (docs/facts/backbone.md)."""

import math
from random import Random

import PIL.Image

ASPECTS = (3 / 4, 4 / 3)
TRIES = 10


def random_crop(
    image: PIL.Image.Image, side: int, rng: Random, areas: tuple[float, float] = (0.08, 1.0)
) -> PIL.Image.Image:
    """A part of an RGB picture at side x side pixels, bicubic, mirrored half of the time.

    Its share of the picture lies between `areas`, its width by height between 3:4 and 4:3. Where ten draws
    don't fit, it is the middle, as wide and high as those bounds allow: torchvision's RandomResizedCrop.
    """
    box = next(filter(None, (_drawn(image.size, rng, areas) for _ in range(TRIES))), _middle(image.size))
    part = image.resize((side, side), PIL.Image.Resampling.BICUBIC, box=box)
    return part.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def _drawn(
    size: tuple[int, int], rng: Random, areas: tuple[float, float]
) -> tuple[int, int, int, int] | None:
    area = size[0] * size[1] * rng.uniform(*areas)
    aspect = math.exp(rng.uniform(*map(math.log, ASPECTS)))
    width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
    if not (0 < width <= size[0] and 0 < height <= size[1]):
        return None
    left, top = rng.randint(0, size[0] - width), rng.randint(0, size[1] - height)
    return left, top, left + width, top + height


def _middle(size: tuple[int, int]) -> tuple[int, int, int, int]:
    width, height = min(size[0], round(size[1] * ASPECTS[1])), min(size[1], round(size[0] / ASPECTS[0]))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height
