"""From ViT states to a quarter of the usual tokens: a wider shuffle and a deeper MLP (`mlp2` of Flash)."""

import math
from typing import cast

import torch
from torch import nn

from tessera.models.connectors.mlp import pixel_shuffle
from tessera.nn.linear import linear_then

DROPOUT = 0.1


class CoarseConnector(nn.Module):
    """Pixel shuffle, LayerNorm, three linears with GELU between them, dropout in training."""

    def __init__(self, vision_width: int, width: int, factor: int, ps_version: str = "v2") -> None:
        super().__init__()
        self.factor, self.ps_version = factor, ps_version
        merged = vision_width * factor * factor
        self.norm = nn.LayerNorm(merged)
        self.linear_1 = nn.Linear(merged, 2 * width)
        self.linear_2 = nn.Linear(2 * width, 2 * width)
        self.linear_3 = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Patch states of square tiles [N, P, D_vision], row by row, to features [N, P / factor^2, D]."""
        side = math.isqrt(states.shape[1])
        x = pixel_shuffle(states.unflatten(1, (side, side)), self.factor, self.ps_version)
        x = self.dropout(linear_then(self.linear_1, self.norm(x), "gelu"))
        x = self.dropout(linear_then(self.linear_2, x, "gelu"))
        return cast(torch.Tensor, self.linear_3(x))
