"""Who shares what with whom: the processes of a run as a grid, made from the recipe's `parallel`."""

from dataclasses import dataclass

import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from tessera.train.parallel.config import Parallel
from tessera.train.parallel.ranks import ALONE, Ranks


@dataclass(frozen=True)
class ProcessMesh:
    """The processes of a run. Neighbours in `tensor` and `sequence` compute the same packs."""

    ranks: Ranks = ALONE
    """All of them."""
    data: Ranks = ALONE
    """Those that get packs of their own, seen from this one."""
    weights: DeviceMesh | None = None
    """Over which weights are sharded: [shard * sequence], behind [replicate] if any; None: whole copies."""
    sequence: DeviceMesh | None = None
    """Over which tokens are shared."""
    tensor: DeviceMesh | None = None
    """Over which matrices are shared."""

    @property
    def copies(self) -> Ranks:
        """Those that may have other gradients of a weight that all have whole."""
        return self.data if self.sequence is None else self.ranks

    def require_shared(self, stage: str, accumulate: int) -> None:
        """ValueError when the packs of a step can't be dealt evenly."""
        if accumulate % self.data.world:
            raise ValueError(
                f"stage {stage!r}: accumulate = {accumulate} packs a step can't be shared by the "
                f"{self.data.world} processes that have packs of their own: make it a multiple"
            )

    def require_whole_blocks(self, stage: str, compile: str) -> None:
        """ValueError where blocks are to be compiled whose weights or tokens lie with several processes."""
        if compile != "none" and self.shared:
            raise ValueError(
                f"stage {stage!r}: compile = {compile!r} needs whole blocks in every process, as others were "
                "not tried; set parallel.shard, parallel.sequence and parallel.tensor to 1"
            )

    @property
    def shared(self) -> bool:
        """Whether weights, matrices or tokens lie with several processes."""
        return (self.weights or self.sequence or self.tensor) is not None

    @property
    def in_step(self) -> bool:
        """Whether a forward pass waits for ranks with other packs, so that all must make the same ones."""
        return self.weights is not None and self.data.world > 1

    @property
    def loss_share(self) -> float:
        """Part of its loss that a process contributes where several compute the same packs and gradients are
        summed over them."""
        return 1.0 if self.sequence is None else 1.0 / self.sequence.size()


def arrange(parallel: Parallel, ranks: Ranks, device: torch.device, shardable: bool = True) -> ProcessMesh:
    """The grid of a run. A model that is not `shardable` is copied to every process.

    ValueError naming the fields when they don't make the number of processes, or ask for what can't be.
    """
    if not shardable and parallel.shard == "auto":
        parallel = parallel.model_copy(update={"shard": 1, "replicate": ranks.world})
    shard = parallel.shards(ranks.world)
    sequence, tensor = parallel.sequence, parallel.tensor
    if not shardable and ranks.world > parallel.replicate:
        raise ValueError(
            "parallel: two towers are not sharded, nor is a model that hears; leave shard, sequence and "
            "tensor out"
        )
    if sequence > 1 and tensor > 1:
        raise ValueError(
            f"parallel: sequence {sequence} and tensor {tensor} both share the heads of attention; give one "
            "of them"
        )
    if shard == sequence == tensor == 1:
        return ProcessMesh(ranks, ranks)
    copies = parallel.replicate
    grid = init_device_mesh(
        device.type, (copies, shard * sequence, tensor), mesh_dim_names=("replicate", "shard", "tensor")
    )
    dealt = init_device_mesh(
        device.type, (copies * shard, sequence, tensor), mesh_dim_names=("data", "sequence", "tensor")
    )
    data = dealt["data"]
    weights = grid["replicate", "shard"] if copies > 1 else grid["shard"]
    return ProcessMesh(
        ranks,
        Ranks(data.get_local_rank(), data.size(), ranks.heartbeat, data.get_group()),
        weights if weights.size() > 1 else None,
        dealt["sequence"] if sequence > 1 else None,
        grid["tensor"] if tensor > 1 else None,
    )
