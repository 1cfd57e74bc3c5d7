"""The grid rule against a restatement of the published one, over random sizes and limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tessera.imaging.grid import Tiling, choose_grid, count_tiles
from tests.imaging.published import published_grid

SIDES = st.integers(1, 6000)
LIMITS = st.tuples(st.integers(1, 40), st.integers(1, 40)).map(sorted)


@given(SIDES, SIDES, LIMITS, st.sampled_from([1, 28, 64, 224, 448]))
@settings(max_examples=400, deadline=None)
def test_grid_is_the_published_one(width: int, height: int, limits: list[int], side: int) -> None:
    low, high = limits
    tiling = Tiling(tile_side=side, min_tiles=low, max_tiles=high)
    assert choose_grid(width, height, tiling) == published_grid(width, height, low, high, side)


@given(SIDES, SIDES, LIMITS, st.booleans())
@settings(max_examples=100, deadline=None)
def test_count_follows_the_grid(width: int, height: int, limits: list[int], thumbnail: bool) -> None:
    tiling = Tiling(min_tiles=limits[0], max_tiles=limits[1], thumbnail=thumbnail)
    columns, rows = choose_grid(width, height, tiling)
    assert limits[0] <= columns * rows <= limits[1]
    extra = 1 if thumbnail and columns * rows > 1 else 0
    assert count_tiles(width, height, tiling) == columns * rows + extra


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((448, 448), (1, 1)),
        ((640, 640), (2, 2)),
        ((1024, 1024), (3, 3)),
        ((640, 480), (4, 3)),
        ((300, 150), (2, 1)),
        ((1280, 720), (4, 2)),
        ((1920, 1080), (4, 2)),
    ],
)
def test_sizes_named_in_the_facts(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert choose_grid(*size, Tiling()) == grid


def test_without_dynamic_tiling_every_picture_is_one_tile() -> None:
    tiling = Tiling(dynamic=False)
    assert choose_grid(4000, 100, tiling) == (1, 1)
    assert count_tiles(4000, 100, tiling) == 1


def test_impossible_limits_and_sizes_are_refused() -> None:
    with pytest.raises(ValidationError, match="min_tiles=5"):
        Tiling(min_tiles=5, max_tiles=4)
    with pytest.raises(ValueError, match="0x10"):
        choose_grid(0, 10, Tiling())
