"""Data-parallel training from outside: `torchrun` starts the processes, and only this file knows about them.

The loader deals the packs of a step to the ranks by a plan that all of them share: data and position are the
same for any number of ranks. Counts are added up before the first forward pass, gradients before
the optimizer step.
"""

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
import torch.distributed as dist
from torch import nn

from tessera.runtime.interrupt import ProcessLost
from tessera.train.parallel.heartbeat import Heartbeat


@dataclass(frozen=True)
class Ranks:
    """This process among those of the run."""

    rank: int = 0
    world: int = 1
    heartbeat: Heartbeat | None = field(default=None, compare=False, repr=False)

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0


ALONE = Ranks()


def join() -> Ranks:
    """The ranks that `torchrun` announces in the environment; one alone without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ALONE
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Ranks(dist.get_rank(), world, _heartbeat(dist.get_rank(), world))


@cache
def _heartbeat(rank: int, world: int) -> Heartbeat:
    """One for the process, from here on until it ends."""
    heartbeat = Heartbeat(rank, world, lambda line: os.write(2, f"\n{line}\n".encode()))
    heartbeat.start()
    atexit.register(heartbeat.leave)
    return heartbeat


def _add(values: torch.Tensor, ranks: Ranks) -> None:
    """Sum over ranks in place. ProcessLost naming the ranks that are gone."""
    try:
        dist.all_reduce(values)
    except RuntimeError as error:
        silent = ranks.heartbeat.silent() if ranks.heartbeat else []
        who = ", ".join(f"rank {other}" for other in silent) or "another rank"
        reason = str(error).rpartition("] ")[2].partition(". ")[0].splitlines()[0]
        raise ProcessLost(f"{who} has ended ({reason}); start again with the same command") from error


def totals(values: Sequence[float], ranks: Ranks, device: torch.device) -> list[float]:
    """Sums over ranks, in float64."""
    if ranks.world == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64, device=device)
    _add(sums, ranks)
    return list(sums.tolist())


def add_up(loss: torch.Tensor, parameters: Sequence[nn.Parameter], ranks: Ranks) -> torch.Tensor:
    """Sum gradients over ranks in place, in one transfer; returns the sum of the losses, a scalar."""
    if ranks.world == 1:
        return loss
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([gradient.flatten() for gradient in (*gradients, loss.to(gradients[0].dtype))])
    _add(flat, ranks)
    start = 0
    for parameter in parameters:
        parameter.grad = flat[start : start + parameter.numel()].view_as(parameter)
        start += parameter.numel()
    return flat[-1]
