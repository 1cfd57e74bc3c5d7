"""Spread a model over processes from outside: its modules and their names stay what they are."""

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from tessera.models.vlm import VLM
from tessera.train.parallel.mesh import ProcessMesh


def shardable(model: nn.Module) -> bool:
    """Whether all of a model's computation begins in its own forward pass, where its weights are put together."""
    return isinstance(model, VLM)


def parallelise(model: nn.Module, mesh: ProcessMesh) -> None:
    """Shard the parameters of a model in place, block by block; they become DTensors of the same names.

    Gradients are summed, not averaged: losses are divided by a normaliser of all ranks beforehand. Buffers,
    such as frozen matrices in 8 or 4 bits, stay whole on every process.
    """
    if mesh.weights is None:
        return
    # Sums of many ranks in bfloat16 would lose the small ones.
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    for stack in [module for module in model.modules() if isinstance(module, nn.ModuleList)]:
        for block in stack:
            fully_shard(block, mesh=mesh.weights, mp_policy=policy)
    fully_shard(model, mesh=mesh.weights, mp_policy=policy)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def reshard(model: nn.Module) -> None:
    """Give back whole weights that a forward pass without a backward pass left in place."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
