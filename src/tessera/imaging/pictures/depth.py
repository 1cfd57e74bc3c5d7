"""Grey pictures of more than 8 bits to 8 bits: X-rays, depth maps, satellite bands, floats.

Pillow's own way, which is the published one, clips at 0 and 255 without scaling; `decode` leaves that to it.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.TiffImagePlugin

from tessera.imaging.pictures.reading import Depth

Range = tuple[float, float]
Values = npt.NDArray[np.float64]

STRIP = 2**20  # pixels that are looked at together
_BITS, _FORMAT = 258, 339  # tags of TIFF
_SIGNED, _FLOAT = 2, 3  # what the second may say


def is_deep(image: PIL.Image.Image) -> bool:
    """Whether a picture holds grey values of more than 8 bits."""
    return image.mode[:1] in ("I", "F")


def stored_range(image: PIL.Image.Image) -> Range:
    """The lowest and highest finite value of a deep picture; (0, 0) when it has none."""
    low, high = np.inf, -np.inf
    for _, values in _strips(image):
        if (finite := values[np.isfinite(values)]).size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def level_range(image: PIL.Image.Image, depth: Depth) -> Range:
    """The values that become 0 and 255."""
    if isinstance(depth, tuple):
        return depth
    if depth == "picture":
        return stored_range(image)
    return (0.0, 255.0) if depth == "clip" else _type_range(image)


def scaled(image: PIL.Image.Image, depth: Depth) -> PIL.Image.Image:
    """A deep picture as 8-bit grey (mode L), its values scaled from the chosen range to 0..255.

    What is outside the range is clipped; what is no number becomes 0.
    """
    low, high = level_range(image, depth)
    levels = np.empty((image.height, image.width), np.uint8)
    for rows, values in _strips(image):
        values = (values - low) * (255.0 / (high - low) if high > low else 0.0)
        levels[rows] = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255) + 0.5
    return PIL.Image.fromarray(levels)


def _strips(image: PIL.Image.Image) -> Iterator[tuple[slice, Values]]:
    """Rows of a picture and their values, float64 [rows, width]."""
    unsigned = image.mode == "I" and _type_range(image)[1] > 2**31
    count = max(1, STRIP // image.width)
    for top in range(0, image.height, count):
        bottom = min(top + count, image.height)
        stored = np.asarray(image.crop((0, top, image.width, bottom)))
        # Pillow keeps unsigned 32 bits as signed ones.
        yield slice(top, bottom), (stored.view(np.uint32) if unsigned else stored).astype(np.float64)


def _type_range(image: PIL.Image.Image) -> Range:
    """What the stored type may hold; floats are taken to lie between 0 and 1."""
    bits, kind = 16, _FLOAT if image.mode == "F" else 1
    if isinstance(image, PIL.TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        bits, kind = int(tags.get(_BITS, (bits,))[0]), int(tags.get(_FORMAT, (kind,))[0])
    if kind == _FLOAT:
        return 0.0, 1.0
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if kind == _SIGNED else (0.0, 2.0**bits - 1)
