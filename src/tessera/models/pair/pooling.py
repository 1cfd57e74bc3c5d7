"""Attention pooling: the mean of a set of tokens asks the set, and the answer is projected."""

import torch
from torch import nn

from tessera.nn.attention.api import attend_across


class CrossHeads(nn.Module):
    """Query, key and value of one width, their biases beside them as the files have them."""

    def __init__(self, width: int, heads: int, out: int) -> None:
        super().__init__()
        self.heads = heads
        for name in "qkv":
            self.add_module(name, nn.Linear(width, width, bias=False))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(width)))
        self.proj = nn.Linear(width, out)

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """query [N, Q, D], key and value [N, L, D] to [N, Q, out]."""
        q, k, v = (
            (getattr(self, name)(x) + getattr(self, f"{name}_bias")).unflatten(-1, (self.heads, -1))
            for name, x in zip("qkv", (query, key, value), strict=True)
        )
        mixed = attend_across(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), len(query))
        out: torch.Tensor = self.proj(mixed.flatten(1))
        return out.unflatten(0, (len(query), -1))


class AttentionPooling(nn.Module):
    """[N, L, D] to one vector each, [N, out]; a LayerNorm each for query, key and value."""

    def __init__(self, width: int, heads: int, out: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm1_q = nn.LayerNorm(width, eps=eps)
        self.norm1_k = nn.LayerNorm(width, eps=eps)
        self.norm1_v = nn.LayerNorm(width, eps=eps)
        self.cross_attn = CrossHeads(width, heads, out)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens [N, L, D] to [N, out]."""
        asking = self.norm1_q(tokens.mean(1, keepdim=True))
        pooled: torch.Tensor = self.cross_attn(asking, self.norm1_k(tokens), self.norm1_v(tokens))
        return pooled[:, 0]
