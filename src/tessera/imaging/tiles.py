"""A decoded picture to uint8 tiles: resized once, cut in one go, the thumbnail last (facts 3.4)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import PIL.Image

from tessera.imaging.bicubic import Pixels
from tessera.imaging.grid import Tiling, choose_grid
from tessera.imaging.resample import resize as resize_picture

Resize = Literal["exact", "fast"]


def cut_tiles(image: PIL.Image.Image, tiling: Tiling, resize: Resize = "exact") -> Pixels:
    """Tiles of an RGB picture: uint8 [N, S, S, 3], row by row, the thumbnail last when N is above one.

    `exact` gives the pixels of the published recipe (Pillow, bicubic); `fast` may be off by one grey level.
    Normalisation is left to the device. Raises ValueError when the picture is not RGB.
    """
    if image.mode != "RGB":
        raise ValueError(f"picture mode is {image.mode}, tiles need RGB; pass it through decode_image first")
    if resize not in ("exact", "fast"):
        raise ValueError(f"resize={resize!r} is unknown; use 'exact' or 'fast'")
    columns, rows = choose_grid(image.width, image.height, tiling)
    side, count = tiling.tile_side, columns * rows
    sizes = [(columns * side, rows * side)]
    if tiling.thumbnail and count > 1:
        sizes.append((side, side))
    whole, *thumbnail = resize_picture(image, sizes, exact=resize == "exact")
    tiles = np.empty((count + len(thumbnail), side, side, 3), np.uint8)
    grid = whole.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    tiles[:count].reshape(rows, columns, side, side, 3)[...] = grid
    if thumbnail:
        tiles[count] = thumbnail[0]
    return tiles
