"""What reading a picture leaves out, where nobody would see it: turns, transparency, depth, frames."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from enum import StrEnum
from typing import Self

import numpy as np
import PIL.Image

from tessera.imaging.decode import BROKEN, DEFAULT_LIMITS, DecodeLimits, open_lazily, orientation
from tessera.imaging.pictures.depth import Range, is_deep, level_range, stored_range
from tessera.imaging.pictures.reading import PUBLISHED, PictureReading
from tessera.imaging.pictures.sources import Source, picture_source


class PictureLoss(StrEnum):
    """Kinds of losses, and the field of `PictureReading` that keeps what is lost."""

    remedy: str

    def __new__(cls, value: str, remedy: str) -> Self:
        member = str.__new__(cls, value)
        member._value_, member.remedy = value, remedy
        return member

    FLAT = "picture comes out as one flat colour", "set pictures.depth to picture, type, or low and high"
    DEPTH = "more than 8 bits clipped", "set pictures.depth to picture, type, or low and high"
    ORIENTATION = "EXIF orientation ignored", "set pictures.orientation to exif"
    TRANSPARENCY = "transparency dropped", "set pictures.transparency to a colour such as white"
    FRAMES = "only the first frame seen", "give the file as a clip"


Losses = tuple[tuple[PictureLoss, str], ...]


def what_is_lost(
    source: Source,
    reading: PictureReading | None = None,
    limits: DecodeLimits = DEFAULT_LIMITS,
    headers_only: bool = False,
) -> Losses:
    """Every loss of a sound picture, with what is stored; pixels are decoded only where they decide.

    headers_only: losses that need pixels are left out. ValueError as from `read_size`.
    """
    reading, found, known = reading or PUBLISHED, [], picture_source(source)
    image = open_lazily(known, limits)
    with nullcontext() if image is known else image:
        # What is broken outside of the pixels that count (EXIF, later frames) does not make them worse.
        with suppress(*BROKEN):
            if reading.orientation == "stored" and (turn := orientation(image, known)) > 1:
                found.append((PictureLoss.ORIENTATION, f"orientation {turn}"))
        with suppress(*BROKEN):
            if not headers_only:
                found += _in_pixels(image, reading)
            if image is not known and _goes_on(image):
                found.append((PictureLoss.FRAMES, "several frames"))
    return tuple(found)


def _goes_on(image: PIL.Image.Image) -> bool:
    """Whether a file of ours has a second frame; the one of an MPO, a phone's preview, is none."""
    if image.format != "TIFF":
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    try:
        image.seek(1)  # `is_animated` would walk through all of them
    except EOFError:
        return False
    return True


def _in_pixels(image: PIL.Image.Image, reading: PictureReading) -> Losses:
    """What only pixels tell: what depth makes of them, and whether any is transparent."""
    if is_deep(image):
        return _of_depth(stored_range(image), level_range(image, reading.depth), reading)
    if reading.transparency != "drop" or not image.has_transparency_data:
        return ()
    alpha = image.convert("RGBA").getchannel("A").getextrema()
    return ((PictureLoss.TRANSPARENCY, f"opacity from {alpha[0]}"),) if alpha[0] != 255 else ()


def _of_depth(stored: Range, levels: Range, reading: PictureReading) -> Losses:
    width = levels[1] - levels[0] or 1
    low, high = (255 * (np.clip(value, *levels) - levels[0]) / width for value in stored)
    told = f"values {stored[0]:g} to {stored[1]:g}"
    if stored[0] < stored[1] and high - low <= 1:
        return ((PictureLoss.FLAT, f"{told} become {low:.0f} to {high:.0f}"),)
    clipped = stored[0] < levels[0] or stored[1] > levels[1]
    return ((PictureLoss.DEPTH, told),) if reading.depth == "clip" and clipped else ()
