"""What reading a picture leaves out, where nobody would see it: turns, transparency, depth, frames."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
from typing import Self

import numpy as np
import PIL.Image

from tessera.imaging.decode import (
    BROKEN,
    DEFAULT_LIMITS,
    DecodeLimits,
    UnreadablePicture,
    name_of,
    open_lazily,
    orientation,
)
from tessera.imaging.pictures.depth import Range, is_deep, level_range, stored_range
from tessera.imaging.pictures.reading import PUBLISHED, PictureReading
from tessera.imaging.pictures.sources import Source, picture_source
from tessera.runtime.shown import shown


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

    headers_only: losses that need pixels are left out. ValueError as from `decode_image`.
    """
    reading, found, known = reading or PUBLISHED, [], picture_source(source)
    image = open_lazily(known, limits)
    with nullcontext() if image is known else image:
        if reading.orientation == "stored" and (turn := orientation(image, known)) > 1:
            found.append((PictureLoss.ORIENTATION, f"orientation {turn}"))
        if image.format != "MPO" and getattr(image, "is_animated", False):  # an MPO's second one is no frame
            found.append((PictureLoss.FRAMES, "several frames"))
        if not headers_only:
            try:
                found += _in_pixels(image, reading)
            except BROKEN as error:
                raise UnreadablePicture(f"picture {name_of(known)}: {shown(error)}; replace it") from error
    return tuple(found)


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
