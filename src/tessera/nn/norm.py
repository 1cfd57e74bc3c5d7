"""Normalisation layers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

NormKind = Literal["rms_norm", "layer_norm"]


class RMSNorm(nn.Module):
    """Root-mean-square norm, computed in float32, cast back, then scaled (facts 1.1)."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., D] to [..., D] in the dtype of `x`."""
        return self.weight * F.rms_norm(x.float(), self.weight.shape, eps=self.eps).to(x.dtype)


def make_norm(kind: NormKind, width: int, eps: float) -> nn.Module:
    """The norm that a config names."""
    return RMSNorm(width, eps) if kind == "rms_norm" else nn.LayerNorm(width, eps=eps)
