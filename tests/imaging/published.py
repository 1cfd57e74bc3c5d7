"""The published recipe for tiles, restated from docs/facts/imaging.md without looking at our code."""

from __future__ import annotations

import numpy as np
import PIL.Image


def published_grid(width: int, height: int, low: int, high: int, side: int) -> tuple[int, int]:
    """Scans a sorted set of grids, as the official code does, in whatever order ties come."""
    grids = {
        (i, j)
        for count in range(low, high + 1)
        for i in range(1, count + 1)
        for j in range(1, count + 1)
        if low <= i * j <= high
    }
    best, best_difference = (1, 1), float("inf")
    for i, j in sorted(grids, key=lambda grid: grid[0] * grid[1]):
        difference = abs(width / height - i / j)
        if difference < best_difference:
            best, best_difference = (i, j), difference
        elif difference == best_difference and width * height > 0.5 * side * side * i * j:
            best = (i, j)
    return best


def published_tiles(
    picture: PIL.Image.Image, low: int = 1, high: int = 12, side: int = 448, thumbnail: bool = True
) -> np.ndarray:
    """uint8 [N, side, side, 3]: Pillow's default resize, one crop a tile, the thumbnail last."""
    columns, rows = published_grid(*picture.size, low, high, side)
    whole = picture.resize((columns * side, rows * side))
    tiles = []
    for number in range(columns * rows):
        left, top = number % columns * side, number // columns * side
        tiles.append(whole.crop((left, top, left + side, top + side)))
    if thumbnail and len(tiles) != 1:
        tiles.append(picture.resize((side, side)))
    return np.stack([np.asarray(tile) for tile in tiles])
