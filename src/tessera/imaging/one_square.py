"""What becomes of a picture before it is one tile: nothing, padding, or its middle (`Tiling.square`).

`squares` makes such squares for contrastive pairs, which crop by torchvision's rule.
"""

from __future__ import annotations

from typing import Literal

import PIL.Image

Square = Literal["squeeze", "pad", "crop"]
"""squeeze: both sides to the square's. pad: centred on a square of one colour. crop: the shorter side to the
square's, the middle of the longer one. Sources: docs/facts/imaging.md, docs/facts/llava.md."""
Colour = tuple[int, int, int]


def largest(width: int, height: int, square: Square, side: int) -> tuple[int, int]:
    """Sides in pixels of the largest picture that is held on the way to the square."""
    short, long = sorted((width, height))
    if square == "pad":
        return long, long
    if square == "crop":
        return max(width, width * side // short), max(height, height * side // short)
    return width, height


def padded(image: PIL.Image.Image, colour: Colour) -> PIL.Image.Image:
    """An RGB picture in the middle of a square as wide as its longer side; an odd rest is below or right."""
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    square = PIL.Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def cropped(image: PIL.Image.Image, side: int) -> PIL.Image.Image:
    """The middle square of an RGB picture whose shorter side is made `side` pixels long (Pillow, bicubic).

    The longer side is rounded down, and so is the place of the square, as CLIP's processor of transformers
    does it.
    """
    width, height = image.size
    short = min(width, height)
    sizes = (width * side // short, height * side // short)
    resized = image.resize(sizes, PIL.Image.Resampling.BICUBIC)
    left, top = (sizes[0] - side) // 2, (sizes[1] - side) // 2
    return resized.crop((left, top, left + side, top + side))
