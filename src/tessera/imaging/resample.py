"""An RGB picture at another size with Pillow's bicubic pixels: to the last bit, or within one grey level.

Pillow resamples in two passes with a rounding between them, so the order of the passes shows, by up to twenty
grey levels at hard edges. Up to Pillow 12 rows come first; Pillow 13 takes columns first where the height
loses more than twice the pixels that the width loses. We give what the installed Pillow gives; which order
that is, it is asked once, on small pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache

import numpy as np
import PIL.Image
import torch

from tessera.imaging.bicubic import Pixels, resample_columns, resample_rows

Size = tuple[int, int]

BICUBIC = PIL.Image.Resampling.BICUBIC
# Pixels of the larger picture below which Pillow's loop is the fastest.
SMALL_EXACT, SMALL_FAST = 2**18, 2**14
STRONG_SHRINK = 2.0  # a picture that shrinks this much averages one-level errors of its first pass away


class PassOrder(Enum):
    """How the installed Pillow orders its two passes."""

    ROWS_FIRST = "rows first, always"
    BALANCED = "columns first where the height loses more than twice what the width loses"
    UNKNOWN = "neither of these"


def resize(image: PIL.Image.Image, sizes: Sequence[Size], exact: bool) -> list[Pixels]:
    """The RGB picture at every (width, height) in pixels: uint8 [height, width, 3] each.

    `exact` gives `image.resize(size, BICUBIC)` in every value; otherwise values may be off by one grey level.
    """
    picture = np.asarray(image)
    return [_resize(image, picture, size, exact) for size in sizes]


def _resize(image: PIL.Image.Image, picture: Pixels, size: Size, exact: bool) -> Pixels:
    width, height = size
    if size == image.size:
        return picture
    order = pillow_pass_order()
    small = max(image.width * image.height, width * height) < (SMALL_EXACT if exact else SMALL_FAST)
    if small or order is PassOrder.UNKNOWN:
        return _with_pillow(image, size)
    columns_first = order is PassOrder.BALANCED and _loses_height(image.size, size)
    shrink = min(image.width / width, image.height / height)
    if not exact and shrink >= STRONG_SHRINK:
        return _with_torch(picture, size, columns_first)
    result = _with_products(picture, size, columns_first, exact)
    return _with_pillow(image, size) if result is None else result


@lru_cache(maxsize=1)
def pillow_pass_order() -> PassOrder:
    """Asks the installed Pillow, with pictures on which the two orders differ."""
    # Both lose more of their height than of their width, only the first more than twice as much.
    steep = _columns_come_first((30, 120), (20, 60))
    mild = _columns_come_first((60, 80), (30, 35))
    if mild is not False or steep is None:
        return PassOrder.UNKNOWN
    return PassOrder.BALANCED if steep else PassOrder.ROWS_FIRST


def _columns_come_first(source: Size, target: Size) -> bool | None:
    """Whether Pillow takes columns first for these sizes; None when it shows neither order."""
    noise = np.random.default_rng(0).integers(0, 2, (source[1], source[0], 3), dtype=np.uint8) * 255
    image = PIL.Image.fromarray(noise)
    whole = _with_pillow(image, target)
    rows_first = image.resize((target[0], source[1]), BICUBIC).resize(target, BICUBIC)
    columns_first = image.resize((source[0], target[1]), BICUBIC).resize(target, BICUBIC)
    matches = [np.array_equal(whole, np.asarray(each)) for each in (rows_first, columns_first)]
    return matches[1] if sum(matches) == 1 else None


def _loses_height(source: Size, target: Size) -> bool:
    """Pillow 13's condition for columns first."""
    loss = source[1] - target[1]
    return loss > 0 and loss > 2 * (source[0] - target[0])


def _with_pillow(image: PIL.Image.Image, size: Size) -> Pixels:
    return np.asarray(image.resize(size, BICUBIC))


def _with_torch(picture: Pixels, size: Size, columns_first: bool) -> Pixels:
    """Both passes on uint8 with weights of 15 bits where Pillow has 22: one value in 300 is a level off."""
    # A copy, because torch warns about memory that it must not write.
    tensor = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]  # [1, 3, H, W], channels last in memory
    between = (size[1], picture.shape[1]) if columns_first else (len(picture), size[0])
    for sides in (between, (size[1], size[0])):
        if sides != tuple(tensor.shape[2:]):
            tensor = torch.nn.functional.interpolate(
                tensor, size=sides, mode="bicubic", antialias=True, align_corners=False
            )
    return np.ascontiguousarray(tensor[0].permute(1, 2, 0).numpy())


def _with_products(picture: Pixels, size: Size, columns_first: bool, exact: bool) -> Pixels | None:
    """Both passes as matrix products; None when too many sums stay undecided."""
    width, height = size
    result: Pixels | None = picture
    for columns in (columns_first, not columns_first):
        if result is None:
            return None
        if columns and height != len(picture):
            result = resample_columns(result, height, exact)
        elif not columns and width != picture.shape[1]:
            result = resample_rows(result, width, exact)
    return result
