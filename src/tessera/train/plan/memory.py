"""Memory of a stage on one device, part by part."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields
from typing import Literal

import torch
from torch import nn

from tessera.models.config import ModelConfig, VLMConfig
from tessera.nn.lora import own_name
from tessera.nn.quantised import GROUP
from tessera.nn.recompute import Recompute
from tessera.train.parallel.config import Parallel
from tessera.train.plan.passes import Passes, Workload
from tessera.train.plan.shell import Frozen, Held, skeleton
from tessera.train.update.config import OptimizerConfig
from tessera.train.update.optimizers import AT_ONCE
from tessera.train.update.rules import Rule, trains

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Ways:
    """How a stage uses memory: what may be changed to make it fit."""

    rules: tuple[Rule, ...]
    optimizer: OptimizerConfig = OptimizerConfig()
    recompute: Recompute = "none"
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    frozen: Frozen = "stored"
    accumulate: int = 1
    """Packs a step on each device."""
    parallel: Parallel = field(default_factory=Parallel)
    world: int = 1
    """Devices."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one device at the moment when they are most: in the passes or in the optimizer's update."""

    weights: int
    masters: int
    optimizer: int
    """Moments, and running means of weights."""
    gradients: int
    activations: int
    """What passes keep, and what they compute with, the loss included."""
    update: int
    """Copies that the optimizer makes."""
    gathered: int
    """Blocks that are put together from their shards."""
    host: int
    """Masters and moments in the host's memory; not part of the total."""

    @property
    def total(self) -> int:
        """On the device."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """What the total is the sum of, by name."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "host"}


@dataclass(frozen=True)
class Sizes:
    """Of a model, before it is shared: bytes of weights, and of blocks and of the rest; trained numbers."""

    weights: int
    trained: int
    largest: int
    """Numbers of the largest trained weight."""
    block: int
    """Bytes of the largest block's weights."""
    outside: int
    """Bytes of weights outside of blocks."""


def memory_of(config: ModelConfig, ways: Ways, work: Workload) -> Memory:
    """What a stage takes on each of its devices for packs like `work`; nothing is allocated."""
    shards = ways.parallel.shards(ways.world) * ways.parallel.sequence
    sizes = sizes_of(config, ways)
    in_float32 = ways.accumulate > 1 or ways.precision == "float32"
    gradients = sizes.trained * (4 if in_float32 else 2) // shards
    keeps = ways.accumulate == 1 and shards == 1
    held = Held(ways.rules, DTYPES[ways.precision], ways.frozen)
    peak, finished = Passes(*_shared(config, work, ways.parallel), held, ways.recompute, keeps).peak()
    gathered = 2 * sizes.block + sizes.outside if shards > 1 else 0
    # Where gradients are counted apart all of them are taken for the peak's.
    in_passes = {"gradients": finished if keeps else gradients, "gathered": gathered, "update": 0}
    in_passes["activations"] = peak - finished
    in_update = {"gradients": gradients, "gathered": 0, "update": _update(sizes, ways, shards)}
    in_update["activations"] = 0
    masters = 4 * sizes.trained // shards if ways.precision == "bfloat16" else 0
    moments = sizes.trained * _moment_bytes(ways.optimizer) // shards
    away = ways.optimizer.offload
    return Memory(
        weights=sizes.weights // shards,
        masters=0 if away else masters,
        optimizer=0 if away else moments,
        host=masters + moments if away else 0,
        **max(in_passes, in_update, key=lambda moment: sum(moment.values())),
    )


def sizes_of(config: ModelConfig, ways: Ways) -> Sizes:
    """Counted on modules without memory."""
    model = skeleton(config, ways.rules)
    width = DTYPES[ways.precision].itemsize
    stacks = {path for path, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    by_block: dict[str, int] = defaultdict(int)
    trained, largest = 0, 0
    for name, parameter in model.named_parameters():
        own = own_name(name)
        size = parameter.numel() * width
        inside = next((stack for stack in stacks if own.startswith(f"{stack}.")), "")
        block = f"{inside}.{own.removeprefix(inside + '.').partition('.')[0]}" if inside else ""
        if trains(ways.rules, own):
            trained += parameter.numel()
            largest = max(largest, parameter.numel())
        elif inside and parameter.dim() == 2 and ways.frozen != "stored":
            size = _quantised(parameter, ways.frozen)
        by_block[block] += size
    outside = by_block.pop("", 0)
    blocks = list(by_block.values())
    return Sizes(outside + sum(blocks), trained, largest, max(blocks, default=0), outside)


def _quantised(weight: torch.Tensor, frozen: Frozen) -> int:
    """Bytes of numbers and scales."""
    if frozen == "int8":
        return weight.numel() + 2 * len(weight)
    return weight.numel() // 2 + 2 * weight.numel() // GROUP


def _moment_bytes(optimizer: OptimizerConfig) -> int:
    """A trained number's, all taken for Muon's where that is asked for."""
    return (8 if optimizer.kind == "adamw" else 4) + (4 if optimizer.ema else 0)


def _update(sizes: Sizes, ways: Ways, shards: int) -> int:
    """Copies of one part: gradients in float32, what Muon may have to take back, masters that visit."""
    part = min(sizes.trained // shards, max(AT_ONCE, sizes.largest // shards))
    # A gradient in bfloat16 goes when its copy is made.
    copies = 2 if ways.precision == "bfloat16" and ways.accumulate == 1 else 0
    copies += 16 if ways.optimizer.kind == "muon" else 0
    copies += 4 + _moment_bytes(ways.optimizer) if ways.optimizer.offload else 0
    return part * copies


def _shared(config: ModelConfig, work: Workload, parallel: Parallel) -> tuple[ModelConfig, Workload]:
    """What one of several processes computes that share heads, channels or tokens of the decoder."""
    if not isinstance(config, VLMConfig) or parallel.tensor * parallel.sequence == 1:
        return config, work
    decoder, share = config.decoder, parallel.tensor
    change = {
        "num_attention_heads": max(1, decoder.num_attention_heads // share),
        "num_key_value_heads": max(1, decoder.num_key_value_heads // share),
        "intermediate_size": max(1, decoder.intermediate_size // share),
        "head_dim": decoder.head_width,
    }
    tokens = max(1, work.tokens // parallel.sequence)
    supervised = max(1, work.supervised // parallel.sequence)
    lengths = work.lengths if parallel.sequence == 1 else (tokens,)
    return (
        config.model_copy(update={"decoder": decoder.model_copy(update=change)}),
        Workload(lengths, work.tiles, supervised),
    )
