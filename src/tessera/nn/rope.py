"""Rotary position embedding from float positions, half-split rotation."""

from __future__ import annotations

import torch


def rotary_tables(positions: torch.Tensor, head_dim: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine, float32 `[T, 1, C]`, for float or integer positions `[T]`.

    Angles are `position * theta^(-2j/C)`, repeated for the two halves; the first half of the sine is negated,
    which is the sign that `rotate` needs there. Fractional positions are V2PE's.
    """
    steps = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions.float()[:, None, None] * (1.0 / theta**steps)  # [T, 1, C/2]
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat((cosine, cosine), dim=-1), torch.cat((-sine, sine), dim=-1)


def rotate(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Turn `x` [T, H, C] by the tables of `rotary_tables`; dtype of `x` is kept."""
    halves_swapped = x.roll(x.shape[-1] // 2, dims=-1)
    return torch.addcmul(x * cosine.to(x.dtype), halves_swapped, sine.to(x.dtype))
