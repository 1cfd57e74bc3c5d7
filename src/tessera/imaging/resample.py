"""Pillow's bicubic resize."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import PIL.Image


def resize_like_pillow(image: PIL.Image.Image, sizes: list[tuple[int, int]]) -> list[npt.NDArray[np.uint8]]:
    """The RGB picture at every (width, height): uint8 [height, width, 3] each, Pillow's own pixels."""
    return [np.asarray(image.resize(size, PIL.Image.Resampling.BICUBIC)) for size in sizes]
