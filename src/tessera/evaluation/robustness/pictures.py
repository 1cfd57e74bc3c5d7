"""Whether a picture is one of many: the same pixels, or the same after another encoding or size.

Nearly the same: grey means of 32 x 32 fields that differ by at most 3 levels in the mean and 24 anywhere, at
the same shape. Drawn pages, charts and photos, saved again at JPEG quality 40 or scaled by 0.35 to 1.7,
differ by at most 1.5 and 12; two drawn charts by at least 2.7 and 137. Crops and other colours are not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray

SIDE, COARSE = 32, 4
"""Fields along a side; those that are compared first."""
MOST_MEAN, MOST_FIELD = 3.0, 24
OTHER_SHAPE = 0.05
"""Relative difference of width to height from which two pictures are not compared."""
BLANK = 4.0
"""Spread of grey below which a picture shows too little to be known again."""


@dataclass(frozen=True, eq=False)
class PicturePrint:
    """pixels: digest of size and RGB. shape: width to height. grey: uint8 [32 * 32]."""

    pixels: bytes
    shape: float
    grey: NDArray[np.uint8]

    @property
    def blank(self) -> bool:
        """Whether it shows too little."""
        return float(self.grey.std()) < BLANK


def print_of(picture: PIL.Image.Image) -> PicturePrint:
    """Of an RGB picture."""
    digest = hashlib.blake2b(f"{picture.size}".encode(), digest_size=16)
    digest.update(picture.tobytes())
    grey = picture.convert("L").resize((SIDE, SIDE), PIL.Image.Resampling.BOX)
    shape = picture.width / picture.height
    return PicturePrint(digest.digest(), shape, np.asarray(grey, dtype=np.uint8).reshape(-1))


class PictureIndex:
    """Known pictures by number. Picklable."""

    def __init__(self, prints: Sequence[PicturePrint]) -> None:
        self._same: dict[bytes, list[int]] = {}
        for number, one in enumerate(prints):
            self._same.setdefault(one.pixels, []).append(number)
        self._grey = np.array([one.grey for one in prints], dtype=np.uint8).reshape(-1, SIDE * SIDE)
        self._coarse = _coarse(self._grey)
        self._shape = np.array([one.shape for one in prints])
        self._plain = np.array([not one.blank for one in prints], dtype=bool)

    def find(self, one: PicturePrint) -> tuple[list[int], list[int]]:
        """Numbers of the pictures with the same pixels, and of others that are nearly the same."""
        same = self._same.get(one.pixels, [])
        if one.blank or not len(self._grey):
            return same, []
        # A mean over coarse fields is never further off than over fine ones.
        coarse = abs(self._coarse - _coarse(one.grey[None])).mean(axis=1) <= MOST_MEAN
        alike = abs(self._shape / one.shape - 1) <= OTHER_SHAPE
        near = np.flatnonzero(coarse & alike & self._plain)
        apart = abs(self._grey[near].astype(np.int16) - one.grey)
        close = (apart.mean(axis=1) <= MOST_MEAN) & (apart.max(axis=1, initial=0) <= MOST_FIELD)
        return same, [number for number in near[close].tolist() if number not in same]


def _coarse(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [N, 16]: means of 8 x 8 fields."""
    step = SIDE // COARSE
    fields = grey.reshape(-1, COARSE, step, COARSE, step).mean(axis=(2, 4), dtype=np.float32)
    return fields.reshape(-1, COARSE * COARSE)
