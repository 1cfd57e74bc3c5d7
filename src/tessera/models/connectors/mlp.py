"""From ViT states to decoder width: pixel shuffle, then the two-layer MLP (the official `mlp1`)."""

import math

import torch
from torch import nn

from tessera.nn.linear import linear_then


def pixel_shuffle(features: torch.Tensor, factor: int = 2, version: str = "v2") -> torch.Tensor:
    """Merge factor x factor neighbours: [N, R, C, D] to [N, (R/f)*(C/f), f*f*D].

    Channels are ordered top-left, top-right, bottom-left, bottom-right. `v2` lists tokens row by row; `v1`
    lists them column by column, as models before 1.5 were trained (docs/facts/architecture.md).
    """
    count, rows, columns, width = features.shape
    if rows % factor or columns % factor:
        raise ValueError(f"grid {rows}x{columns} does not divide by the shuffle factor {factor}")
    blocks = features.view(count, rows // factor, factor, columns // factor, factor, width)
    order = (0, 1, 3, 2, 4, 5) if version == "v2" else (0, 3, 1, 2, 4, 5)
    return blocks.permute(order).reshape(count, -1, factor * factor * width)


class Connector(nn.Module):
    """Pixel shuffle, LayerNorm, linear, GELU, linear."""

    def __init__(self, vision_width: int, width: int, factor: int, ps_version: str = "v2") -> None:
        super().__init__()
        self.factor, self.ps_version = factor, ps_version
        merged = vision_width * factor * factor
        self.norm = nn.LayerNorm(merged)
        self.linear_1 = nn.Linear(merged, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Patch states of square tiles [N, P, D_vision], row by row, to features [N, P / factor^2, D]."""
        side = math.isqrt(states.shape[1])
        x = pixel_shuffle(states.unflatten(1, (side, side)), self.factor, self.ps_version)
        out: torch.Tensor = self.linear_2(linear_then(self.linear_1, self.norm(x), "gelu"))
        return out
