"""Patch states of the tiles of one picture as one map."""

import math

import torch


def picture_map(states: torch.Tensor, columns: int, rows: int) -> torch.Tensor:
    """States [n, P, D] of a picture's tiles, row by row, to its map [rows * g, columns * g, D]; P = g * g.

    A thumbnail behind the tiles is left out. ValueError for fewer tiles than the grid has.
    """
    tiles = columns * rows
    if len(states) < tiles:
        raise ValueError(f"states of {len(states)} tiles: a grid of {columns} x {rows} has {tiles}")
    side = math.isqrt(states.shape[1])
    grid = states[:tiles].reshape(rows, columns, side, side, -1)
    return grid.permute(0, 2, 1, 3, 4).reshape(rows * side, columns * side, -1)
