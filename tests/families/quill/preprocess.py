"""How the made-up family cuts pictures: one square each."""

from __future__ import annotations

from tessera.imaging.grid import Tiling

TILING = Tiling(tile_side=24, min_tiles=1, max_tiles=1, thumbnail=False, dynamic=False)
