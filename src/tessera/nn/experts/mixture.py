"""The feed-forward part of a block with experts: a router, and what the chosen experts give, added up."""

import torch
from torch import nn
from torch.nn import functional as F

from tessera.nn.experts.grouped import Gate, expert_rows, rows_of_each
from tessera.nn.experts.kinds import Shares
from tessera.nn.experts.routing import Router, choose_experts
from tessera.nn.experts.stack import ExpertLayers, ExpertStack


def silu_gate(both: torch.Tensor) -> torch.Tensor:
    """silu(first half) * second half: Qwen3-MoE."""
    gate, up = both.chunk(2, dim=-1)
    return F.silu(gate) * up


def clamped_gate(alpha: float, limit: float) -> Gate:
    """(up + 1) * gate * sigmoid(alpha * gate), both held within the limit; they take turns: GPT-OSS."""

    def gated(both: torch.Tensor) -> torch.Tensor:
        gate, up = both[..., ::2].clamp(max=limit), both[..., 1::2].clamp(-limit, limit)
        return (up + 1) * (gate * torch.sigmoid(gate * alpha))

    return gated


class Experts(nn.Module):
    """All experts of a block: `gate_up_proj` [E * 2 I, D] and `down_proj` [E * D, I], an expert's rows
    together.

    Of an expert's rows in `gate_up_proj` the gate's come first (`silu`), or the two take turns (`clamped`).
    """

    def __init__(self, width: int, inner: int, count: int, gate: Gate, bias: bool) -> None:
        super().__init__()
        self.count, self.gate = count, gate
        self.gate_up_proj = ExpertStack(count, width, 2 * inner, bias)
        self.down_proj = ExpertStack(count, inner, width, bias)
        self._cuts = (ExpertLayers(), ExpertLayers())

    def forward(self, x: torch.Tensor, chosen: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """x [T, D], experts int64 [T, k] and shares float [T, k] to [T, D]."""
        taken = chosen.flatten()
        order = taken.argsort(stable=True)  # rows of the first expert first
        rows = x.index_select(0, order // chosen.shape[1])
        counts = rows_of_each(taken, self.count)
        out = expert_rows(rows, counts, (self.gate_up_proj, self.down_proj), self.gate, self._cuts)
        out = out * shares.flatten()[order, None].to(out.dtype)
        back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        return out.index_select(0, back).unflatten(0, chosen.shape).sum(1)


class Mixture(nn.Module):
    """A router and its experts."""

    def __init__(
        self, width: int, inner: int, count: int, top_k: int, shares: Shares, gate: Gate, bias: bool
    ) -> None:
        super().__init__()
        self.top_k, self.shares = top_k, shares
        self.router = Router(width, count, bias)
        self.experts = Experts(width, inner, count, gate, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[T, D] to [T, D]."""
        choice = choose_experts(self.router(x), self.top_k, self.shares)
        out: torch.Tensor = self.experts(x, choice.experts, choice.shares)
        return out
