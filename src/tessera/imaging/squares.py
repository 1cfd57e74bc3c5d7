"""A picture as one square: squeezed into it whatever its shape, or its middle (docs/facts/embedding.md)."""

from typing import Literal

import numpy as np
import PIL.Image

from tessera.imaging.fast_resize.bicubic import Pixels
from tessera.imaging.fast_resize.resample import resize


def to_square(image: PIL.Image.Image, side: int, fit: Literal["square", "crop"] = "square") -> Pixels:
    """uint8 [S, S, 3] of an RGB picture, by Pillow's bicubic resize.

    `square`: resized to it. `crop`: the short side resized to it, the long one by the same factor and rounded
    down, and the middle cut out, half a pixel rounded to even, as torchvision does. ValueError for another
    word or a picture that is not RGB.
    """
    if image.mode != "RGB":
        raise ValueError(f"picture mode is {image.mode}, a square needs RGB; pass it through decode_image")
    if fit == "square":
        return np.ascontiguousarray(resize(image, [(side, side)], exact=True)[0])
    if fit != "crop":
        raise ValueError(f"fit = {fit!r}: give 'square' or 'crop'")
    short, long = sorted(image.size)
    stretched = int(side * long / short)
    size = (side, stretched) if image.width <= image.height else (stretched, side)
    pixels = resize(image, [size], exact=True)[0]
    left, top = (round((length - side) / 2) for length in size)
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])
