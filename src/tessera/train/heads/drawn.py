"""Drawn pictures for heads: nothing lies on the disk, and what is held out was never learned from."""

from dataclasses import dataclass

import numpy as np
import PIL.Image

from tessera.playground.labelled import PIXELS, THINGS, draw_masked, draw_thing
from tessera.train.heads.dense.masked import Labels
from tessera.train.heads.labelled import Labelled

HELD_OUT = 10**9
"""First seed of what is held out."""


@dataclass(frozen=True)
class DrawnThings:
    """Pictures of one thing each."""

    first: int
    count: int
    side: int
    level: int = 2

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> PIL.Image.Image:
        return draw_thing(self.first + place, (self.side, self.side), self.level)[0]

    @property
    def identity(self) -> str:
        """All that they follow from."""
        return repr(self)

    def name(self, place: int) -> str:
        """By its seed."""
        return f"drawn {self.first + place}"

    def labelled(self) -> Labelled:
        """With their classes: every colour of every shape."""
        size = (self.side, self.side)
        labels = tuple(draw_thing(self.first + n, size, self.level)[1] for n in range(self.count))
        return Labelled(self, labels, THINGS)


@dataclass(frozen=True)
class DrawnMasks:
    """Pictures of several things, with a class for every pixel."""

    first: int
    count: int
    side: int
    level: int = 2
    names: tuple[str, ...] = PIXELS

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> tuple[PIL.Image.Image, Labels]:
        image, mask = draw_masked(self.first + place, (self.side, self.side), self.level)
        return image, np.array(mask)

    @property
    def identity(self) -> str:
        """All that they follow from."""
        return repr(self)
