"""The norm of gradients that may be sharded in several ways at once."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor


def total_norm(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Euclidean norm of all gradients together, added up in float32; a plain scalar on their device, the same
    on all ranks.

    Parts of sharded tensors are added up once for all that are sharded alike. PyTorch's own refuses plain
    tensors beside sharded ones, and two meshes.
    """
    parts: dict[tuple[dist.ProcessGroup, ...], list[torch.Tensor]] = {}
    for gradient in gradients:
        groups: tuple[dist.ProcessGroup, ...] = ()
        if isinstance(gradient, DTensor):
            mesh, placed = gradient.device_mesh, enumerate(gradient.placements)
            groups = tuple(mesh.get_group(number) for number, how in placed if not how.is_replicate())
            gradient = gradient.to_local()
        parts.setdefault(groups, []).append(torch.linalg.vector_norm(gradient, dtype=torch.float32))
    whole = []
    for groups, norms in parts.items():
        norm = torch.linalg.vector_norm(torch.stack(norms))
        for group in groups:
            square = norm.square()
            dist.all_reduce(square, group=group)
            norm = square.sqrt()
        whole.append(norm)
    return torch.linalg.vector_norm(torch.stack(whole)) if whole else torch.zeros(())
