"""The processes of a run, as `torchrun` starts them, and sums over them.

The loader deals the packs of a step to the ranks by a plan that all of them share: data and position are the
same for any number of ranks. Counts are added up before the first forward pass, gradients before
the optimizer step.
"""

import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import groupby
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor

from tessera.runtime.interrupt import ProcessLost
from tessera.train.parallel.heartbeat import AGAIN, Heartbeat

LONGEST = timedelta(days=2)
"""A collective may wait: some ranks save or answer meanwhile, and the heartbeat sees who is lost."""
BUCKET = 2**24
"""Numbers of a gradient that travel together."""


@dataclass(frozen=True)
class Ranks:
    """This process among others: all of the run, or those that share its data."""

    rank: int = 0
    world: int = 1
    heartbeat: Heartbeat | None = field(default=None, compare=False, repr=False)
    group: dist.ProcessGroup | None = field(default=None, compare=False, repr=False)
    """Over which it adds up; None means all."""

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def at(self, where: str, watched: bool = True) -> None:
        """A stretch of the run begins, which messages name; unwatched it may take any time."""
        if self.heartbeat is not None:
            self.heartbeat.at(where, watched)

    def tick(self) -> None:
        """Something was done in the stretch that runs."""
        if self.heartbeat is not None:
            self.heartbeat.tick()

    @contextmanager
    def meeting(self) -> Iterator[None]:
        """Around a collective: this rank waits for others. ProcessLost naming those that are gone."""
        if self.heartbeat is None:
            yield
            return
        self.heartbeat.waits = True
        try:
            yield
        except RuntimeError as error:
            raise self.lost(error) from error
        finally:
            self.heartbeat.waits = False

    def lost(self, error: RuntimeError) -> RuntimeError:
        """The error of a collective, as a ProcessLost that names ranks, step and samples where some are gone;
        the error itself when all are there."""
        if self.heartbeat is None or isinstance(error, ProcessLost) or not (gone := self.heartbeat.silent()):
            return error
        reason = str(error).rpartition("] ")[2].partition(". ")[0].splitlines()[0]
        who = "; ".join(self.heartbeat.told_of(other) for other in gone)
        return ProcessLost(f"{who} has ended ({reason}). {AGAIN}")


ALONE = Ranks()


def join() -> Ranks:
    """The ranks that `torchrun` announces in the environment; one alone without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ALONE
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=LONGEST)
    return Ranks(dist.get_rank(), world, _heartbeat(dist.get_rank(), world))


@cache
def _heartbeat(rank: int, world: int) -> Heartbeat:
    """One for the process, from here on until it ends."""
    heartbeat = Heartbeat(rank, world, lambda line: os.write(2, f"\n{line}\n".encode()))
    heartbeat.start()
    atexit.register(heartbeat.leave)
    return heartbeat


def _add(values: torch.Tensor, ranks: Ranks, how: Any = dist.ReduceOp.SUM) -> None:
    """Sum over ranks in place, or the largest. ProcessLost naming the ranks that are gone."""
    with ranks.meeting():
        dist.all_reduce(values, how, group=ranks.group)


def totals(values: Sequence[float], ranks: Ranks) -> list[float]:
    """Sums over ranks, in float64. They travel between the hosts: no device is waited for."""
    if ranks.world == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64)
    _add(sums, ranks)
    return list(sums.tolist())


def largest(value: int, ranks: Ranks) -> int:
    """The largest of the ranks' values."""
    if ranks.world == 1:
        return value
    found = torch.tensor(value)
    _add(found, ranks, dist.ReduceOp.MAX)
    return int(found)


def add_up(values: torch.Tensor, ranks: Ranks) -> torch.Tensor:
    """The sum over ranks, on their device."""
    if ranks.world == 1:
        return values
    total = values.detach().clone()
    _add(total, ranks)
    return total


def add_gradients(parameters: Sequence[nn.Parameter], ranks: Ranks) -> None:
    """Sum the gradients of whole copies over ranks in place.

    Sharded parameters have been summed in the backward pass. One that has a gradient on no rank keeps none.
    The sums are float32, whatever the weights are.
    """
    copies = [p for p in parameters if not isinstance(p, DTensor)]
    if ranks.world == 1 or not copies:
        return
    gradients = []
    seen = totals([float(p.grad is not None) for p in copies], ranks)
    for parameter, ranks_with in zip(copies, seen, strict=True):
        if ranks_with:
            gradients.append(widen(parameter))
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.flatten() for gradient in bucket])
        _add(flat, ranks)
        for gradient, part in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
            gradient.copy_(part.view_as(gradient))


def widen(parameter: nn.Parameter) -> torch.Tensor:
    """Make a weight's gradient float32, zero if there was none: what is added to it isn't rounded."""
    if parameter.grad is None or parameter.grad.dtype != torch.float32:
        wide = (
            torch.zeros_like(parameter, dtype=torch.float32)
            if parameter.grad is None
            else parameter.grad.float()
        )
        parameter.grad = None
        parameter.grad_dtype = None  # float32 beside a bfloat16 weight is meant
        parameter.grad = wide
    return parameter.grad


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Neighbours of one dtype, up to BUCKET numbers together: a copy of all would double their memory."""
    for _, alike in groupby(tensors, key=lambda tensor: tensor.dtype):
        bucket: list[torch.Tensor] = []
        for tensor in alike:
            if bucket and sum(t.numel() for t in bucket) + tensor.numel() > BUCKET:
                yield bucket
                bucket = []
            bucket.append(tensor)
        yield bucket
