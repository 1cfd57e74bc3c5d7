"""Spread a model over processes from outside: its modules and their names stay what they are."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.default_planner import create_default_local_save_plan
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from tessera.models.decoder import Decoder
from tessera.models.vlm import VLM
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.ranks import Ranks
from tessera.train.parallel.sequence import share_tokens
from tessera.train.parallel.tensor import share_matrices


def shardable(model: nn.Module) -> bool:
    """Whether a model computes in its own forward pass, where sharded weights are put together.

    One that hears does not: a process without sounds would pass its audio encoder by.
    """
    return isinstance(model, VLM) and model.config.hearing is None


Around = Callable[[str, nn.Module], AbstractContextManager[None]]
"""What stands around the sharing of a module: its path in the model, "" for all of it, and itself."""


def parallelise(model: nn.Module, mesh: ProcessMesh, around: Around = lambda *_: nullcontext()) -> None:
    """Shard the parameters of a model in place, block by block; they become DTensors of the same names.

    Gradients are summed, not averaged: losses are divided by a normaliser of all ranks beforehand. Buffers,
    such as frozen matrices in 8 or 4 bits, stay whole on every process. Blocks tell the heartbeat of each
    pass. What `around` makes of weights before they are shared exists for one block at a time.
    """
    stacks = {path: stack for path, stack in model.named_modules() if isinstance(stack, nn.ModuleList)}
    _share(model, stacks, mesh, around)
    for block in (block for stack in stacks.values() for block in stack) if mesh.ranks.heartbeat else ():
        block.register_forward_pre_hook(partial(_tell, mesh.ranks), prepend=True)  # before others are awaited


def _share(model: nn.Module, stacks: Mapping[str, nn.ModuleList], mesh: ProcessMesh, around: Around) -> None:
    if mesh.sequence is not None:
        share_tokens(_decoder(model), mesh.sequence)
    if mesh.tensor is not None or mesh.weights is None:
        with around("", model):
            if mesh.tensor is not None:
                share_matrices(_decoder(model), mesh.tensor)
    if mesh.weights is None:
        return
    if isinstance(model, VLM):
        model.patches_at_once = sys.maxsize  # ranks with few and many tiles make equally many passes
    # Sums of many ranks in bfloat16 would lose the small ones.
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    for path, stack in stacks.items():
        for number, block in enumerate(stack):
            with around(f"{path}.{number}", block):
                fully_shard(block, mesh=mesh.weights, mp_policy=policy)
    with around("", model):
        root = fully_shard(model, mesh=mesh.weights, mp_policy=policy)
    for stack in filter(len, stacks.values()):  # a patch embedding has no blocks
        # Else what ran before it is fetched again: another thing in each process, behind `leading`.
        stack[0].set_modules_to_backward_prefetch([root])  # type: ignore[operator]
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def _tell(ranks: Ranks, _: nn.Module, given: tuple[Any, ...]) -> None:
    """The heartbeat, of a block that begins, in the forward pass and, with its gradient, behind it."""
    ranks.tick()
    if isinstance(given[0], torch.Tensor) and given[0].requires_grad:
        given[0].register_hook(lambda _: ranks.tick())


def _decoder(model: nn.Module) -> Decoder:
    assert isinstance(model, VLM)  # others have no such mesh
    return model.decoder


def reshard(model: nn.Module) -> None:
    """Give back whole weights that a forward pass without a backward pass left in place."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def whole(tensors: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and whole tensors, one at a time; all ranks take the same ones at the same time."""
    for name, tensor in tensors:
        yield name, whole_tensor(tensor)


def whole_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor put together by all ranks that share it; itself when it is whole."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def weights_digest(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """32 hexadecimal digits of names, dtypes, shapes and values; all ranks take the same ones together."""
    known = hashlib.sha256()
    for name, tensor in tensors:
        known.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        values = whole_tensor(tensor.detach()).cpu().contiguous()
        known.update(values.view(-1).view(torch.uint8).numpy().data)
    return known.hexdigest()[:32]


def part_of(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The part of a whole tensor that this process holds, spread as `like` is; itself when that is whole."""
    if not isinstance(like, DTensor):
        return tensor
    (item,) = create_default_local_save_plan({"": like}, is_coordinator=False).items
    assert item.tensor_data is not None
    chunk = item.tensor_data.chunk
    places = tuple(slice(start, start + size) for start, size in zip(chunk.offsets, chunk.sizes, strict=True))
    return spread_as(like, tensor[places].to(like.to_local().device, copy=True))


def spread_alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one shape lie on the processes alike."""
    specs = [(t.device_mesh, t.placements) if isinstance(t, DTensor) else None for t in (one, other)]
    return specs[0] == specs[1]


def spread_as(like: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """The tensor of which this process holds a part, spread as `like` is."""
    if not isinstance(like, DTensor):
        return part
    return DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def local_parts(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """What this process holds of each, as plain tensors that share its memory: for work number by number."""
    return [tensor.to_local() if isinstance(tensor, DTensor) else tensor for tensor in tensors]
