"""What looks at a tile's states and says whether few tokens will do: a query with attention, then a gate.

Names inside follow the released code: `pooling_before_gating` and `gating` (docs/facts/moe.md).
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from tessera.models.resolution.config import ROUNDS, ResolutionConfig

DROPOUT = 0.1


class PoolingAttention(nn.Module):
    """One query for each tile against the tile's states."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, query: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """query [N, 1, D], states [N, P, D] to [N, 1, D]."""
        weights, biases = self.in_proj.weight.chunk(3), self.in_proj.bias.chunk(3)
        given = zip((query, states, states), weights, biases, strict=True)
        parts = [F.linear(*each).unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in given]
        out = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        return cast(torch.Tensor, self.out_proj(out))


class Pooling(nn.Module):
    """A tile's states to one vector, in four rounds; attentions that `rounds` leaves out are only kept."""

    def __init__(self, width: int, heads: int, rounds: tuple[int, ...]) -> None:
        super().__init__()
        self.rounds = rounds
        self.query_token = nn.Parameter(torch.empty(1, width).normal_())
        for number in range(1, ROUNDS + 1):
            self.add_module(f"attn{number}", PoolingAttention(width, heads))
            self.add_module(f"norm{number}", nn.LayerNorm(width))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[N, P, D] to [N, D]."""
        query = self.query_token.expand(len(states), 1, -1)
        for number in self.rounds:
            attention, norm = self.get_submodule(f"attn{number}"), self.get_submodule(f"norm{number}")
            query = norm(attention(query, states))
        return query[:, 0]


class Gating(nn.Module):
    """Four feed-forward blocks with residuals, then two scores: few tokens, many tokens."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        for number in range(1, ROUNDS + 1):
            block = nn.Sequential(
                *(nn.Linear(width, inner), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(inner, width)),
                *(nn.Dropout(DROPOUT), nn.LayerNorm(width)),
            )
            self.add_module(f"block{number}", block)
        self.gate = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, D] to scores [N, 2]."""
        for number in range(1, ROUNDS + 1):
            x = x + self.get_submodule(f"block{number}")(x)
        return cast(torch.Tensor, self.gate(x))


class ResolutionRouter(nn.Module):
    """Scores of a tile for a quarter of the tokens and for all of them."""

    def __init__(self, width: int, config: ResolutionConfig) -> None:
        super().__init__()
        if width % config.heads:
            raise ValueError(f"resolution.heads = {config.heads} does not divide {width} channels of the ViT")
        self.pooling = Pooling(width, config.heads, config.rounds)
        self.gating = Gating(width, config.expansion * width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """The ViT's states [N, P, D] to scores float32 [N, 2]."""
        return cast(
            torch.Tensor, self.gating(self.pooling(states.to(self.pooling.query_token.dtype)))
        ).float()
