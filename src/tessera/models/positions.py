"""Variable visual position encoding (V2PE): text advances by 1, visual tokens by a fraction (facts 9)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

STRIDES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Numerators over 256 that InternVL3 draws from in training: increments 1/256 ... 1."""


def v2pe_positions(ids: torch.Tensor, image_token_id: int, increments: Sequence[float]) -> torch.Tensor:
    """float32 [T] positions of one sequence.

    `increments` gives delta for each run of placeholders, in order. After a run that started behind position
    `p` and holds `n` tokens, the next text token stands at ceil(p + n * delta) + 1. With delta = 1 these are
    the ordinary integers. Raises ValueError when runs and increments differ in number.
    """
    visual = (ids == image_token_id).tolist()
    runs = sum(now and not before for before, now in zip([False, *visual], visual, strict=False))
    if runs != len(increments):
        raise ValueError(f"increments has {len(increments)} entries but the sequence has {runs} picture runs")
    positions: list[float] = []
    last, anchor, count, run = -1.0, 0.0, 0, -1
    for is_visual in visual:
        if not is_visual:
            last = math.ceil(last) + 1
            count = 0
        else:
            if count == 0:
                anchor, run = last, run + 1
            count += 1
            last = anchor + count * increments[run]
        positions.append(last)
    return torch.tensor(positions, dtype=torch.float32)
