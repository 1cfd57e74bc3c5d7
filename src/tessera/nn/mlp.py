"""The two feed-forward blocks of the series."""

import torch
from torch import nn

from tessera.nn.cpu import native
from tessera.nn.cpu.native import takes_pieces
from tessera.nn.linear import linear_then, scaled_linear


class GatedMLP(nn.Module):
    """down(silu(gate(x)) * up(x)), without biases: LLaMA, InternLM and Qwen decoders."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)
        self.in_vectors = inner % native.VECTOR == 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., D] to [..., D]."""
        if self.in_vectors and takes_pieces(x):
            gated = native.gate(self.gate_proj(x), self.up_proj(x))
        else:
            gated = linear_then(self.gate_proj, x, "silu") * self.up_proj(x)
        out: torch.Tensor = self.down_proj(gated)
        return out


class MLP(nn.Module):
    """fc2(gelu(fc1(x))) with biases and the exact GELU: InternViT."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
        """[..., D] to [..., D], each channel times `scale` [D]."""
        return scaled_linear(self.fc2, linear_then(self.fc1, x, "gelu"), scale)
