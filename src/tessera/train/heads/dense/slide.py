"""A window that slides over a picture: scores of every pixel, averaged where windows overlap."""

from collections.abc import Callable, Iterator

import torch

Scores = Callable[[torch.Tensor], torch.Tensor]
"""Pixels [1, 3, H, W] to scores [1, K, H, W]."""


def windows(height: int, width: int, side: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """Places of windows, row by row, every `stride` pixels; the last of a row or column ends with the
    picture."""
    if side < 1 or not 0 < stride <= side:
        raise ValueError(f"window = {side}, stride = {stride}: the stride lies between 1 and the window")
    for top in _starts(height, side, stride):
        for left in _starts(width, side, stride):
            yield slice(top, top + side), slice(left, left + side)


def _starts(length: int, side: int, stride: int) -> list[int]:
    count = max(length - side + stride - 1, 0) // stride + 1
    return [max(min(place * stride, length - side), 0) for place in range(count)]


def slide(scores: Scores, pixels: torch.Tensor, side: int, stride: int) -> torch.Tensor:
    """Scores [1, K, H, W] of pixels [1, 3, H, W]: the mean over the windows that a pixel lies in."""
    height, width = pixels.shape[-2:]
    total: torch.Tensor | None = None
    count = pixels.new_zeros(1, 1, height, width, dtype=torch.float32)
    for rows, columns in windows(height, width, side, stride):
        found = scores(pixels[..., rows, columns]).float()
        if total is None:
            total = found.new_zeros(1, found.shape[1], height, width)
        total[..., rows, columns] += found
        count[..., rows, columns] += 1
    assert total is not None
    return total / count
