"""The model of a stage without memory: with factors, what of it is quantised, and shortened for a trial."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from torch import nn

from tessera.checkpoints.fill import replaceable
from tessera.checkpoints.links.weights import make_parts
from tessera.families.family import Family
from tessera.models.config import ModelConfig
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.nn.codes import group_of
from tessera.nn.lora import LoRALinear, replace_module
from tessera.train.update.rules import Rule, decides, trains

Model = TypeVar("Model", bound=nn.Module)
Frozen = Literal["stored", "int8", "int4"]
SHORT = 5
"""Blocks of a shortened stack: the first, the one that stands for all that were left out, one behind it, and
the last two. What passes from a block to the next so is told from what each block keeps."""
SAMPLE = 1
"""The number of the block that stands for others."""


def stage_model(config: ModelConfig, rules: Sequence[Rule], family: Family | None = None) -> VLM:
    """The model on the meta device with the LoRA factors of a stage, and the links of its family."""
    with without_memory():
        model = VLM(config)
        if family is not None and family.links is not None:
            model.links = make_parts(family)
        return with_factors(model, rules)


def with_factors(model: Model, rules: Sequence[Rule]) -> Model:
    """A model on the meta device, changed: with the LoRA factors of these rules."""
    for path, linear in list(model.named_modules()):
        number = decides(rules, f"{path}.weight") if isinstance(linear, nn.Linear) else None
        if number is not None and (lora := rules[number].lora) is not None:
            replace_module(model, path, LoRALinear.without_values(linear, lora))
    return model


def quantised_bytes(model: nn.Module, stages: Sequence[Sequence[Rule]], kind: Frozen) -> tuple[int, int]:
    """Weights that `Start.frozen` quantises, as numbers and as the bytes that they then take; `model` has no
    factors.

    They are those of blocks' matrices that no stage of the run trains itself; `stages` are its rules.
    """
    if kind == "stored":
        return 0, 0
    numbers = held = 0
    for path, linear in replaceable(model, kind).items():
        names = [f"{path}.{leaf}" for leaf, _ in linear.named_parameters()]
        if any(trains(rules, name) for rules in stages for name in names):
            continue
        out, inner = linear.weight.shape
        scales = out if kind == "int8" else out * inner // group_of(inner)
        numbers += out * inner
        held += (out * inner if kind == "int8" else out * inner // 2) + 2 * scales
    return numbers, held


def shortened(model: Any) -> tuple[Any, dict[str, int]]:
    """A copy whose stacks compute few blocks, and how many blocks were left out of each.

    Blocks that an encoder holds and never runs stay in it.
    """
    left_out = {part: depth - SHORT for part, depth in stacks_of(model).items() if depth > SHORT}
    whole = {part: getattr(model, part).layers for part in left_out}
    for part, count in left_out.items():
        blocks = list(whole[part])
        getattr(model, part).layers = nn.ModuleList([*blocks[: SHORT - 1], *blocks[SHORT - 1 + count :]])
    try:
        return copy.deepcopy(model), left_out
    finally:
        for part, blocks in whole.items():
            getattr(model, part).layers = blocks


def sampled_stack(name: str) -> str:
    """The stack in whose place for all blocks that were left out a weight of this name lies; "" for none."""
    part, _, inner = name.partition(".")
    return part if inner.startswith(f"layers.{SAMPLE}.") else ""


def is_block(path: str) -> bool:
    """Whether the module of this path is a block of a stack."""
    return re.fullmatch(r"\w+\.layers\.\d+", path) is not None


def blocks_run(part: Any) -> int:
    """How many blocks of a stack a forward pass goes through."""
    return int(getattr(part, "select_layer", -1)) % (len(part.layers) + 1)


def stacks_of(model: nn.Module) -> dict[str, int]:
    """Part -> blocks that a forward pass goes through, of every part that has some."""
    parts = ((name, part) for name, part in model.named_children() if hasattr(part, "layers"))
    return {name: blocks_run(part) for name, part in parts}


def is_uniform(model: nn.Module, rules: Sequence[Rule]) -> bool:
    """Whether all blocks of a stack are alike and the rules treat them alike, so that few tell of all."""
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    if any(len({tuple(n for n, _ in block.named_parameters()) for block in stack}) > 1 for stack in stacks):
        return False
    decided: dict[str, set[int | None]] = {}
    for name, _ in model.named_parameters():
        general = re.sub(r"\.layers\.\d+\.", ".layers.N.", name)
        decided.setdefault(general, set()).add(decides(rules, name))
    return all(len(found) == 1 for found in decided.values())
