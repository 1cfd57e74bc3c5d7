"""Variable visual position encoding (V2PE): text advances by 1, visual tokens by a fraction
(docs/facts/positions.md)."""

from collections.abc import Sequence

import torch

STRIDES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Numerators over 256 that InternVL3 draws from in training: increments 1/256 ... 1."""


def require_increment(value: float) -> float:
    """The value itself if InternVL3 was trained with it: 1, 1/2 ... 1/256. Raises ValueError otherwise."""
    if value * 256 not in STRIDES:
        raise ValueError(f"visual_increment = {value}: give 1 (ordinary positions) or 1/2, 1/4 ... 1/256")
    return float(value)


def v2pe_positions(
    ids: torch.Tensor, image_token_id: int, increments: float | Sequence[float]
) -> torch.Tensor:
    """float32 [T] positions of one sequence of ids int64 [T], on their device.

    `increments` gives delta for each run of placeholders, in order, or one for all. After a run that started
    behind position `p` and holds `n` tokens, the next text token stands at ceil(p + n * delta) + 1. With
    delta = 1 these are the ordinary integers. Raises ValueError when runs and increments differ in number.
    """
    visual = ids == image_token_id
    edges = torch.diff(visual.int(), prepend=visual.new_zeros(1).int(), append=visual.new_zeros(1).int())
    starts, ends = (edges == 1).nonzero().flatten(), (edges == -1).nonzero().flatten()
    counts = ends - starts
    deltas = torch.as_tensor(increments, dtype=torch.float64, device=ids.device).flatten()
    if isinstance(increments, float | int):
        deltas = deltas.expand(len(counts))
    if len(counts) != len(deltas):
        raise ValueError(
            f"increments has {len(deltas)} entries but the sequence has {len(counts)} picture runs"
        )
    # A run begins behind a text token, thus behind an integer, and lifts all that follows it.
    steps = torch.zeros(len(ids) + 1, dtype=torch.float64, device=ids.device)
    steps[ends] = (counts * deltas).ceil()
    positions = (steps[:-1] + ~visual).cumsum(0) - 1
    place = torch.arange(len(ids), device=ids.device)[visual] - starts.repeat_interleave(counts) + 1
    positions[visual] += place * deltas.repeat_interleave(counts)
    return positions.float()
