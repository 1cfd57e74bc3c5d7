"""Pictures of a batch as squares, cut and turned at random where that is asked for."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from pydantic import Field

from tessera.imaging.squares import to_square
from tessera.runtime.config import Config

RATIOS = (3 / 4, 4 / 3)
ATTEMPTS = 10


class Crops(Config):
    """torchvision's RandomResizedCrop and a flip, as the released training code has them."""

    least: float = Field(default=1.0, gt=0, le=1)
    """Smallest share of a picture's area that is cut out; 1 takes the whole, squeezed into the square."""
    flip: float = Field(default=0.0, ge=0, le=1)
    """Share of pictures that are turned left to right."""

    def square(self, image: PIL.Image.Image, side: int, rng: Random) -> NDArray[np.uint8]:
        """uint8 [S, S, 3] of an RGB picture, by bicubic resize."""
        if self.least < 1:
            image = image.crop(self.box(image.size, rng))
        pixels = to_square(image, side)
        return np.ascontiguousarray(pixels[:, ::-1]) if rng.random() < self.flip else pixels

    def box(self, size: tuple[int, int], rng: Random) -> tuple[int, int, int, int]:
        """Left, top, right, bottom: an area from `least` to all, its sides 3:4 to 4:3; the middle where none
        of ten draws fits."""
        width, height = size
        for _ in range(ATTEMPTS):
            area = width * height * rng.uniform(self.least, 1.0)
            ratio = math.exp(rng.uniform(*map(math.log, RATIOS)))
            across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < across <= width and 0 < down <= height:
                left, top = rng.randint(0, width - across), rng.randint(0, height - down)
                return left, top, left + across, top + down
        across = min(width, round(height * RATIOS[1]))
        down = min(height, round(width / RATIOS[0]))
        left, top = (width - across) // 2, (height - down) // 2
        return left, top, left + across, top + down
