"""A model as a stage trains it, without numbers: few blocks stand for all of them where all are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from tessera.models.config import ModelConfig
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.nn.linear import make_linear
from tessera.nn.lora import own_name, replace_module
from tessera.train.update.masters import Masters
from tessera.train.update.rules import Rule, changes, trains
from tessera.train.update.wrapping import wrap

Frozen = Literal["stored", "int8", "int4"]


@dataclass(frozen=True)
class Held:
    """How weights are held in a stage."""

    rules: tuple[Rule, ...]
    dtype: torch.dtype = torch.bfloat16
    """Of floating weights and of what is computed."""
    frozen: Frozen = "stored"
    """Of the blocks' matrices that no rule changes."""


def skeleton(config: ModelConfig, rules: Sequence[Rule]) -> VLM:
    """The model with its LoRA factors, on the meta device."""
    with without_memory():
        model = VLM(config)
    wrap(model, rules, 0, Masters())
    return model


def fill_shell(model: VLM, held: Held) -> VLM:
    """Give a skeleton dtypes, quantised bases and marks for what is trained, inside `without_numbers`.

    It lies on the CPU, where attention takes the ways of a CPU.
    """
    _give_storage(model, held.dtype)
    if held.frozen != "stored":
        _quantise(model, held)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(held.rules, own_name(name)))
    return model.train()


def still(rules: Sequence[Rule], path: str) -> bool:
    """Whether a linear keeps its weights: no rule trains them themselves."""
    return not trains(rules, f"{path}.weight")


def _give_storage(model: nn.Module, dtype: torch.dtype) -> None:
    """Parameters on the CPU, tied ones still tied."""
    made: dict[int, nn.Parameter] = {}
    for module in list(model.modules()):
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) not in made:
                kept = dtype if parameter.dim() else torch.float32
                made[id(parameter)] = nn.Parameter(torch.empty(parameter.shape, dtype=kept))
            module.register_parameter(name, made[id(parameter)])


def _quantise(model: nn.Module, held: Held) -> None:
    """What `Start.frozen` does while a checkpoint is read."""
    stacks = tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, nn.ModuleList))
    for path, module in list(model.named_modules()):
        own = own_name(f"{path}.weight").removesuffix(".weight").removesuffix(".base")
        if isinstance(module, nn.Linear) and path.startswith(stacks) and still(held.rules, own):
            assert held.frozen != "stored"
            with torch.no_grad():
                replace_module(model, path, make_linear(held.frozen, module.weight, module.bias))


def alike(config: ModelConfig, rules: Sequence[Rule]) -> bool:
    """Whether the rules treat all blocks of a stack in the same way."""
    with without_memory():
        model = VLM(config)
    for path, stack in model.named_modules():
        if not isinstance(stack, nn.ModuleList):
            continue
        seen = {
            tuple(
                (changes(rules, f"{path}.{i}.{name}"), trains(rules, f"{path}.{i}.{name}"))
                for name, _ in block.named_parameters()
            )
            for i, block in enumerate(stack)
        }
        if len(seen) > 1:
            return False
    return True
