"""Rotary position embedding from float positions, half-split rotation."""

from __future__ import annotations

import torch


def rotary_tables(positions: torch.Tensor, head_dim: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine, float32 `[T, 1, C]`, for float or integer positions `[T]`.

    Angles are `position * theta^(-2j/C)`, repeated for the two halves. Fractional positions are V2PE's.
    """
    steps = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions.float()[:, None] * (1.0 / theta**steps)  # [T, C/2]
    angles = torch.cat((angles, angles), dim=-1)[:, None, :]
    return angles.cos(), angles.sin()


def rotate(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Turn `x` [T, H, C] by the tables of `rotary_tables`; dtype of `x` is kept."""
    left, right = x.chunk(2, dim=-1)
    turned = torch.cat((-right, left), dim=-1)
    return x * cosine.to(x.dtype) + turned * sine.to(x.dtype)
