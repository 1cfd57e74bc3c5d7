"""The montage shows the picture, every tile and the thumbnail."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from tessera.imaging.grid import Tiling
from tessera.imaging.montage import GAP, PANEL, draw_montage


@pytest.mark.parametrize("size", [(60, 40), (1, 300), (900, 30), (64, 64)])
@pytest.mark.parametrize("limit", [1, 6, 40])
def test_any_picture_can_be_shown(size: tuple[int, int], limit: int) -> None:
    sheet = draw_montage(PIL.Image.new("RGB", size, "teal"), Tiling(tile_side=64, max_tiles=limit))
    assert sheet.mode == "RGB"
    assert sheet.height <= 40 * (16 + GAP) + 200
    assert sheet.width <= 3 * (max(PANEL, 40 * (16 + GAP)) + 100)


def test_every_tile_and_the_thumbnail_are_in_it() -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200), (200, 30, 200)]
    blocks = np.array(colours, np.uint8).reshape(2, 3, 3)
    picture = PIL.Image.fromarray(blocks.repeat(64, axis=0).repeat(64, axis=1))
    with_thumbnail = draw_montage(picture, Tiling(tile_side=64, max_tiles=6))
    without = draw_montage(picture, Tiling(tile_side=64, max_tiles=6, thumbnail=False))
    assert with_thumbnail.width > without.width
    pixels = np.asarray(without)
    for colour in colours:  # once in the picture, once among the tiles: two separate runs of columns
        columns = np.flatnonzero((pixels == colour).all(axis=2).any(axis=0))
        assert (np.diff(columns) > 100).sum() == 1
