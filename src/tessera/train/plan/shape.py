"""The model of a stage without memory: with factors, with quantised bases, and shortened for a trial."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn

from tessera.checkpoints.fill import replaceable
from tessera.models.config import ModelConfig
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.nn.linear import make_linear
from tessera.nn.lora import LoRALinear, replace_module
from tessera.train.update.rules import Rule, decides, trains

Frozen = Literal["stored", "int8", "int4"]


def meta_model(config: ModelConfig) -> VLM:
    """The model on the meta device."""
    with without_memory():
        return VLM(config)


def prepare(model: nn.Module, stages: Sequence[Sequence[Rule]], index: int, frozen: Frozen) -> None:
    """Give a meta model what a stage has, in place: `stages` are the rules of all stages of the run.

    Matrices that no stage trains itself are quantised, linears of rules with `lora` are wrapped.
    """
    rules = stages[index]
    quantised = {} if frozen == "stored" else replaceable(model, frozen)
    for path, linear in list(model.named_modules()):
        if not isinstance(linear, nn.Linear):
            continue
        base: Any = linear
        names = [f"{path}.{leaf}" for leaf, _ in linear.named_parameters()]
        if (
            frozen != "stored"
            and path in quantised
            and not any(trains(each, name) for each in stages for name in names)
        ):
            base = make_linear(frozen, linear.weight, linear.bias)
        number = decides(rules, f"{path}.weight")
        if number is not None and (config := rules[number].lora) is not None:
            base = LoRALinear.without_values(base, config)
        if base is not linear:
            replace_module(model, path, base)


def shortened(model: Any, depths: Mapping[str, int]) -> Any:
    """A copy in which the stacks of these parts compute so many blocks: the first ones and the last.

    Blocks that an encoder holds and never runs stay in it.
    """
    whole = {part: getattr(model, part).layers for part in depths}
    for part, depth in depths.items():
        blocks, run = list(whole[part]), blocks_run(getattr(model, part))
        getattr(model, part).layers = nn.ModuleList([*blocks[: depth - 1], *blocks[run - 1 :]])
    try:
        return copy.deepcopy(model)
    finally:
        for part, blocks in whole.items():
            getattr(model, part).layers = blocks


def blocks_run(part: Any) -> int:
    """How many blocks of a stack a forward pass goes through."""
    depth = len(part.layers)
    return int(getattr(part, "select_layer", -1)) % (depth + 1)


def stacks_of(model: nn.Module) -> dict[str, int]:
    """Part -> blocks that a forward pass goes through, of every part that has some."""
    parts = ((name, part) for name, part in model.named_children() if hasattr(part, "layers"))
    return {name: blocks_run(part) for name, part in parts}


def is_uniform(model: nn.Module, rules: Sequence[Rule]) -> bool:
    """Whether the rules treat all blocks of a stack alike, so that few of them tell of all."""
    decided: dict[str, set[int | None]] = {}
    for name, _ in model.named_parameters():
        general = re.sub(r"\.layers\.\d+\.", ".layers.N.", name)
        decided.setdefault(general, set()).add(decides(rules, name))
    return all(len(found) == 1 for found in decided.values())
