"""Rows of all processes, with a gradient that goes back to each of them."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from tessera.train.parallel.ranks import ALONE, Ranks, join


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, ranks: Ranks) -> torch.Tensor:
        ctx.ranks = ranks
        parts = [torch.empty_like(rows) for _ in range(ranks.world)]
        with ranks.meeting():
            dist.all_gather(parts, rows.contiguous(), group=ranks.group)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        total, ranks = gradients[0].contiguous(), ctx.ranks
        with ranks.meeting():
            dist.all_reduce(total, group=ranks.group)
        return total.chunk(ranks.world)[ranks.rank], None


def gather(rows: torch.Tensor, ranks: Ranks) -> torch.Tensor:
    """Rows [n, ...] of each process, equally many, to [world * n, ...] on all, in the order of their ranks.

    A row's gradient is the sum of those that all processes have for it.
    """
    if ranks.world == 1:
        return rows
    out: torch.Tensor = _Gathered.apply(rows, ranks)
    return out


def together(training: bool) -> Ranks:
    """The processes whose batches are contrasted with each other: all that train, one alone else."""
    return join() if training else ALONE
