"""How many tiles a picture gets, and in which grid: the published dynamic-tiling rule
(docs/facts/imaging.md).

Works on sizes alone, so token counts are known before any pixel is decoded.
"""

from functools import lru_cache
from typing import Self

from pydantic import Field, model_validator

from tessera.runtime.config import Config


class Tiling(Config):
    """How a picture is cut. The defaults are those of the released models from 1.5 on, with 12 tiles."""

    tile_side: int = Field(default=448, ge=1)
    """Side of a square tile in pixels."""
    min_tiles: int = Field(default=1, ge=1)
    """Fewest tiles of a grid."""
    max_tiles: int = Field(default=12, ge=1)
    """Most tiles of a grid; the thumbnail comes on top."""
    thumbnail: bool = True
    """Whether the whole picture follows as one more tile when the grid has more than one."""
    dynamic: bool = True
    """False squeezes every picture into one tile, as the models before 1.5 do."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_tiles > self.max_tiles:
            raise ValueError(
                f"min_tiles={self.min_tiles} exceeds max_tiles={self.max_tiles}: lower min or raise max"
            )
        return self


def choose_grid(width: int, height: int, tiling: Tiling) -> tuple[int, int]:
    """(columns, rows) of the grid whose shape is nearest to the picture's; sizes in pixels.

    Candidates are met by growing area, inside an area by growing columns. The nearest ratio wins; among equal
    ones a larger grid wins only when the picture has more than half of the grid's pixels.
    """
    if width < 1 or height < 1:
        raise ValueError(f"picture size {width}x{height} has no pixels; both sides must be at least 1")
    if not tiling.dynamic:
        return 1, 1
    shape, pixels = width / height, width * height
    half_tile = 0.5 * tiling.tile_side * tiling.tile_side
    best, nearest = (1, 1), float("inf")
    for columns, rows, ratio in _candidates(tiling.min_tiles, tiling.max_tiles):
        distance = abs(shape - ratio)
        if distance < nearest or (distance == nearest and pixels > half_tile * columns * rows):
            best, nearest = (columns, rows), distance
    return best


def count_tiles(width: int, height: int, tiling: Tiling) -> int:
    """Tiles of a picture of this size in pixels, the thumbnail included; equals `len(cut_tiles(...))`."""
    columns, rows = choose_grid(width, height, tiling)
    tiles = columns * rows
    return tiles + 1 if tiling.thumbnail and tiles > 1 else tiles


@lru_cache(maxsize=64)
def _candidates(min_tiles: int, max_tiles: int) -> tuple[tuple[int, int, float], ...]:
    """Every grid within the limits as (columns, rows, columns / rows), by area and then columns."""
    return tuple(
        (columns, area // columns, columns / (area // columns))
        for area in range(min_tiles, max_tiles + 1)
        for columns in range(1, area + 1)
        if area % columns == 0
    )
