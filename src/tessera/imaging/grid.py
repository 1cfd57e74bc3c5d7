"""How many tiles a picture gets, and in which grid: the published dynamic-tiling rule
(docs/facts/imaging.md).

Works on sizes alone, so token counts are known before any pixel is decoded.
"""

from functools import lru_cache
from numbers import Integral
from typing import Self

from pydantic import Field, model_validator

from tessera.imaging.cost import check_cost
from tessera.imaging.one_square import Square, largest
from tessera.runtime.config import Config
from tessera.runtime.shown import shown

MOST_TILES = 256
"""Most tiles that may be asked for a picture; the published recipes go to 40. Memory and the choice of a grid
grow with it."""
LARGEST_SIDE = 4096
"""Largest side of a tile in pixels."""


class Tiling(Config):
    """How a picture is cut. The defaults are those of the released models from 1.5 on, with 12 tiles."""

    tile_side: int = Field(default=448, ge=1, le=LARGEST_SIDE)
    """Side of a square tile in pixels."""
    min_tiles: int = Field(default=1, ge=1, le=MOST_TILES)
    """Fewest tiles of a grid."""
    max_tiles: int = Field(default=12, ge=1, le=MOST_TILES)
    """Most tiles of a grid; the thumbnail comes on top."""
    thumbnail: bool = True
    """Whether the whole picture follows as one more tile when the grid has more than one."""
    dynamic: bool = True
    """False makes one tile of every picture, as the models before 1.5 do."""
    square: Square = "squeeze"
    """How it becomes that one tile."""
    fill: tuple[int, int, int] = (0, 0, 0)
    """Colour around a padded picture."""

    @model_validator(mode="after")
    def _one_square(self) -> Self:
        if self.dynamic and self.square != "squeeze":
            raise ValueError(f"square = {self.square!r} goes with dynamic = False: one tile a picture")
        if not all(0 <= value <= 255 for value in self.fill):
            raise ValueError(f"fill = {list(self.fill)}: give red, green and blue from 0 to 255")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_tiles > self.max_tiles:
            raise ValueError(
                f"min_tiles={self.min_tiles} exceeds max_tiles={self.max_tiles}: lower min or raise max"
            )
        return self

    def limited(self, most: int, name: str = "max_tiles") -> Self:
        """With another limit of tiles, which `min_tiles` follows. ValueError, led by `name`, out of range."""
        if problem := tiles_problem(most):
            raise ValueError(f"{name}: {problem}")
        return self.model_copy(update={"max_tiles": most, "min_tiles": min(self.min_tiles, most)})


def tiles_problem(most: object) -> str | None:
    """What is wrong with a limit of tiles; None when it may be one."""
    if isinstance(most, Integral) and not isinstance(most, bool) and 1 <= int(most) <= MOST_TILES:
        return None
    return f"{shown(most)} is no number of tiles; give a whole number from 1 to {MOST_TILES}"


def choose_grid(width: int, height: int, tiling: Tiling) -> tuple[int, int]:
    """(columns, rows) of the grid whose shape is nearest to the picture's; sizes in pixels.

    Candidates are met by growing area, inside an area by growing columns. The nearest ratio wins; among equal
    ones a larger grid wins only when the picture has more than half of the grid's pixels. ValueError when
    cutting would take too much memory.
    """
    if width < 1 or height < 1:
        raise ValueError(f"picture size {width}x{height} has no pixels; both sides must be at least 1")
    grid = _nearest(width, height, tiling) if tiling.dynamic else (1, 1)
    held = largest(width, height, tiling.square, tiling.tile_side)
    check_cost(*held, grid, tiling.tile_side, tiling.thumbnail)
    return grid


def _nearest(width: int, height: int, tiling: Tiling) -> tuple[int, int]:
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


@lru_cache(maxsize=16)  # of at most MOST_TILES ln MOST_TILES grids
def _candidates(min_tiles: int, max_tiles: int) -> tuple[tuple[int, int, float], ...]:
    """Every grid within the limits as (columns, rows, columns / rows), by area and then columns."""
    return tuple(
        (columns, area // columns, columns / (area // columns))
        for area in range(min_tiles, max_tiles + 1)
        for columns in range(1, area + 1)
        if area % columns == 0
    )
