"""The norm of gradients that may be sharded in several ways at once."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor


def total_norm(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Euclidean norm of all gradients as one vector: a plain scalar on their device, the same on all ranks.

    PyTorch's own refuses plain tensors beside sharded ones, and two meshes.
    """
    plain = [g for g in gradients if not isinstance(g, DTensor)]
    if len(plain) == len(gradients):
        return torch.nn.utils.get_total_norm(plain)
    parts: dict[tuple[dist.ProcessGroup, ...], list[torch.Tensor]] = {}
    for gradient in gradients:
        if isinstance(gradient, DTensor):
            placed = enumerate(gradient.placements)
            sharded = tuple(gradient.device_mesh.get_group(dim) for dim, p in placed if p.is_shard())
            parts.setdefault(sharded, []).append(gradient.to_local())
    squares = [torch.nn.utils.get_total_norm(plain).square()] if plain else []
    for groups, locals_ in parts.items():
        square = torch.nn.utils.get_total_norm(locals_).float().square()
        for group in groups:
            dist.all_reduce(square, group=group)
        squares.append(square)
    return torch.stack(squares).sum().sqrt()


def clip(gradients: Sequence[torch.Tensor], norm: torch.Tensor, most: float) -> None:
    """Scale gradients of this norm in place, so that it is at most `most`; as PyTorch's own does."""
    parts = [g.to_local() if isinstance(g, DTensor) else g for g in gradients]
    torch._foreach_mul_(parts, (most / (norm + 1e-6)).clamp(max=1.0))
