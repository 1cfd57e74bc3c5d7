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


def stage_model(config: ModelConfig, stages: Sequence[Sequence[Rule]], index: int, frozen: Frozen) -> VLM:
    """The model on the meta device as a stage has it; `stages` are the rules of all stages of the run.

    Matrices of blocks that no stage trains itself are quantised, linears of rules with `lora` are wrapped.
    """
    with without_memory():
        model = VLM(config)
    quantised = {} if frozen == "stored" else replaceable(model, frozen)
    for path, linear in list(model.named_modules()):
        if not isinstance(linear, nn.Linear):
            continue
        base: Any = linear
        names = [f"{path}.{leaf}" for leaf, _ in linear.named_parameters()]
        still = not any(trains(rules, name) for rules in stages for name in names)
        if frozen != "stored" and path in quantised and still:
            base = make_linear(frozen, linear.weight, linear.bias)
        number = decides(stages[index], f"{path}.weight")
        if number is not None and (lora := stages[index][number].lora) is not None:
            base = LoRALinear.without_values(base, lora)
        if base is not linear:
            replace_module(model, path, base)
    return model


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
    return int(getattr(part, "select_layer", -1)) % (len(part.layers) + 1)


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
