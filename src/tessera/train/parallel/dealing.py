"""Work on whole matrices, dealt to the processes that hold parts of them."""

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from tessera.train.parallel.shard import local_parts, part_of, whole_tensor


def deal(
    matrices: Sequence[torch.Tensor], compute: Callable[[torch.Tensor], torch.Tensor]
) -> list[torch.Tensor]:
    """Of `compute` of each matrix [m, n], whole or sharded, what this process holds; shape and dtype stay.

    All put a sharded matrix together, one of them computes and gives the result to the others. A process
    holds those that it computes, and one more.
    """
    dealt, own = list(zip(matrices, _owners(matrices), strict=True)), dict[int, torch.Tensor]()
    for number, (matrix, owner) in enumerate(dealt):
        whole = whole_tensor(matrix)
        if not isinstance(matrix, DTensor) or owner == _group(matrix).rank():
            own[number] = whole
    # Not before all are there: the others would wait for each of them.
    own = {number: compute(whole) for number, whole in own.items()}
    parts = []
    for number, (matrix, owner) in enumerate(dealt):
        if number in own:
            found = own.pop(number)
        else:
            found = torch.empty(matrix.shape, dtype=matrix.dtype, device=matrix.device)
        if isinstance(matrix, DTensor):
            dist.broadcast(found, dist.get_global_rank(_group(matrix), owner), _group(matrix))
        parts.append(part_of(found, matrix))
    return local_parts(parts)


def _owners(matrices: Sequence[torch.Tensor]) -> list[int]:
    """Rank in its group that computes each matrix: the large ones first, to whoever has the least to do."""
    loads: dict[int, int] = {}
    owners = [0] * len(matrices)
    for number in sorted(range(len(matrices)), key=lambda n: -_work(matrices[n])):
        matrix = matrices[number]
        ranks = range(_group(matrix).size() if isinstance(matrix, DTensor) else 1)
        owners[number] = min(ranks, key=lambda rank: loads.get(rank, 0))
        loads[owners[number]] = loads.get(owners[number], 0) + _work(matrix)
    return owners


def _work(matrix: torch.Tensor) -> int:
    return matrix.numel() * min(matrix.shape)


def _group(matrix: DTensor) -> dist.ProcessGroup:
    """Processes that share a matrix along its first sharded dimension; groups beside it do the same."""
    dims = (dim for dim, how in enumerate(matrix.placements) if not how.is_replicate())
    return matrix.device_mesh.get_group(next(dims, 0))
