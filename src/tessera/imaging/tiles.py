"""A decoded picture to uint8 tiles: resized once, cut in one go, the thumbnail last
(docs/facts/imaging.md)."""

from typing import Literal

import numpy as np
import PIL.Image

from tessera.imaging.fast_resize.bicubic import Pixels
from tessera.imaging.fast_resize.resample import resize as resize_picture
from tessera.imaging.grid import Tiling, choose_grid
from tessera.imaging.one_square import cropped, padded

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
    if tiling.square == "pad":
        image = padded(image, tiling.fill)
    elif tiling.square == "crop":
        image = cropped(image, tiling.tile_side)
    columns, rows = choose_grid(image.width, image.height, tiling)
    side, count = tiling.tile_side, columns * rows
    sizes = [(columns * side, rows * side)]
    if tiling.thumbnail and count > 1:
        sizes.append((side, side))
    whole, *thumbnail = resize_picture(image, sizes, exact=resize == "exact")
    # Planar in memory, as the model's first convolution reads them, and as the resize makes them.
    planes = np.empty((count + len(thumbnail), 3, side, side), np.uint8)
    tiles = planes.transpose(0, 2, 3, 1)
    grid = whole.reshape(rows, side, columns, side, 3).transpose(0, 2, 4, 1, 3)
    planes[:count].reshape(rows, columns, 3, side, side)[...] = grid
    if thumbnail:
        tiles[count] = thumbnail[0]
    return tiles
