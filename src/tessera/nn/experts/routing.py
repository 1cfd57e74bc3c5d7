"""Which experts a token takes and in what shares; in float32, whatever the model computes in.

`T` tokens, `D` width, `E` experts, `k` of them for a token.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from tessera.nn.experts.kinds import Shares


@dataclass(frozen=True)
class Routing:
    """Of each token its experts int64 [T, k], the best first, and their shares float32 [T, k]."""

    experts: torch.Tensor
    shares: torch.Tensor


class Router(nn.Module):
    """Scores of all experts for each token, with a bias in GPT-OSS; never packed, quantised or wrapped."""

    def __init__(self, width: int, experts: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, width).normal_(std=0.02))
        self.bias = nn.Parameter(torch.zeros(experts)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[T, D] to float32 [T, E]."""
        bias = None if self.bias is None else self.bias.float()
        return F.linear(x.float(), self.weight.float(), bias)


def choose_experts(scores: torch.Tensor, count: int, shares: Shares) -> Routing:
    """The `count` experts of the highest scores float32 [T, E] for each token."""
    if shares == "chosen":
        best, experts = scores.topk(count, dim=-1)
        return Routing(experts, best.softmax(-1))
    best, experts = scores.softmax(-1).topk(count, dim=-1)
    return Routing(experts, best / best.sum(-1, keepdim=True) if shares == "all_normalised" else best)
