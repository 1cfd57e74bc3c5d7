"""Muon for the hidden matrices: momentum number by number, then the direction of a matrix as a whole.

torch.optim.Muon makes matrices orthogonal. Around it stands what it can't do: skip a step that is no number,
and share the work of sharded matrices out. The numbers are its own.
"""

import math

import torch

from tessera.train.parallel.dealing import deal
from tessera.train.parallel.shard import local_parts, spread_as
from tessera.train.update.parts import Memory, Part, Stride

MOMENTUM = 0.95


class MuonPart(Part):
    """Steps as large as AdamW's usual ones (arXiv 2502.16982, section 2.2)."""

    FIELDS = ("momentum_buffer",)

    def update(
        self,
        masters: list[torch.Tensor],
        gradients: list[torch.Tensor],
        memory: list[Memory],
        stride: Stride,
    ) -> None:
        """With Nesterov's momentum and decoupled decay; where the step doesn't count, all stays."""
        momenta, fresh, ahead = local_parts([state["momentum_buffer"] for state in memory]), [], []
        for master, gradient, momentum in zip(masters, local_parts(gradients), momenta, strict=True):
            gradient = gradient / stride.divisor
            fresh.append(momentum.lerp(gradient, 1 - MOMENTUM))
            ahead.append(spread_as(master, gradient.lerp(fresh[-1], MOMENTUM).bfloat16()))
        rate, directions = self.rate * stride.factor, deal(ahead, orthogonal)
        for master, momentum, value, direction in zip(masters, momenta, fresh, directions, strict=True):
            (here,) = local_parts([master])
            size = rate * (0.2 * math.sqrt(max(master.shape)))
            moved = (here * (1 - rate * self.decay)).add_(direction, alpha=-size)
            here.copy_(torch.where(stride.finite, moved, here))
            momentum.copy_(torch.where(stride.finite, value, momentum))


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """A bfloat16 matrix [m, n] with all singular values near one.

    A step of torch.optim.Muon from zero, with a rate of 1 and no momentum, goes there backwards as long as
    the matrix is not taller than wide.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    place = torch.zeros_like(wide, requires_grad=True)
    place.grad = wide
    torch.optim.Muon([place], lr=1.0, weight_decay=0.0, momentum=0.0, nesterov=False).step()
    found = place.detach().neg_()
    return (found if wide is matrix else found.T).contiguous()
