"""The two sides of `training_step.py`: the same weights and factors, ours and transformers' with PEFT."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from training_workload import Mixture, packs, pad

from tessera.families.catalogue import get_family
from tessera.models.config import VLMConfig
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.nn.drop_path import set_drop_path
from tessera.nn.lora import LoRAConfig, lora_linears
from tessera.nn.recompute import Recompute, set_recompute
from tessera.packing.pack import Sample
from tessera.peers.transformers_twin import RENAMES, twin
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.rules import Rule, assign
from tessera.train.update.wrapping import wrap
from tessera.train.vision_cache import VisionCache

FAMILIES = {"1b": "InternVL3-1B", "toy": "nano_model"}
LORA = LoRAConfig(rank=16, alpha=32, dropout=0.0)
LINEARS = r"^decoder\.layers\..*_proj\.weight$"
RULES = {
    "full": (Rule(pattern=".", learning_rate=1e-4),),
    "lora": (Rule(pattern=LINEARS, learning_rate=1e-4, lora=LORA), Rule(pattern=".")),
}


class Side(Protocol):
    """One way to compute the gradients of a step."""

    model: nn.Module

    def prepare(self, samples: list[Sample]) -> Any:
        """The step's batches, outside of the measured time."""

    def gradients(self, batches: Any) -> float:
        """Forward and backward; returns the loss."""


def shape_of(name: str) -> VLMConfig:
    """The config of a shape."""
    config = get_family(FAMILIES[name]).model
    assert isinstance(config, VLMConfig)
    return config


def drawn_model(shape: str, training: str) -> VLM:
    """Our model with random weights, wrapped for LoRA with factors that do something from the start."""
    model = VLM(shape_of(shape))
    initialise(model, 0)
    wrap(model, RULES[training], 0, Masters())
    generator = torch.Generator().manual_seed(1)
    for _, linear in lora_linears(model):
        with torch.no_grad():
            linear.lora_B.normal_(0, 0.02, generator=generator)
    set_drop_path(model, 0.0)  # transformers' model has none
    return model.train()


class Ours:
    """Packs through `train.step.Step`; `cache` is a folder for the states of a frozen ViT."""

    def __init__(
        self,
        shape: str,
        training: str,
        dtype: torch.dtype,
        mixture: Mixture,
        cache: Path | None = None,
        recompute: Recompute = "none",
    ) -> None:
        self.model, self._mixture = drawn_model(shape, training).to(dtype), mixture
        self._recompute = recompute
        set_recompute(self.model, recompute)
        assign(self.model, RULES[training])
        self._step = Step(ConversationObjective(), self.model, torch.device("cpu"))
        self._cached = cache is not None
        if cache is not None:
            self.model.recall = VisionCache(cache, self.model, 2**32).states

    def prepare(self, samples: list[Sample]) -> Any:
        """Packs of at most the mixture's tokens; with a cache their tiles were seen in an epoch before."""
        # What is computed again leaves room: one pack a step needs no sum of gradients in float32.
        made = packs(samples, self._mixture.pack * (1 if self._recompute == "none" else 4))
        if self._cached:
            for pack in made:
                self.model.see(pack.tiles)
        return made

    def gradients(self, batches: Any) -> float:
        """The loss of all packs over all their targets."""
        return float(self._step.gradients(batches)[0])


class Theirs:
    """One right-padded batch through transformers' model, with PEFT's factors or without."""

    def __init__(self, shape: str, training: str, dtype: torch.dtype, checkpoint: bool) -> None:
        ours = drawn_model(shape, training)
        factors = {path: (linear.lora_A, linear.lora_B) for path, linear in lora_linears(ours)}
        take_off(ours)
        self.config, self.dtype = shape_of(shape), dtype
        self.model: nn.Module = twin(ours)
        del ours
        if factors:
            self.model = adapted(self.model, factors)
        self.model.to(dtype).train()
        if checkpoint:
            options = {"use_reentrant": False}
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)  # type: ignore[operator]

    def prepare(self, samples: list[Sample]) -> Any:
        """The padded batch; its pixels are normalised beforehand."""
        return pad(samples, self.config, self.dtype)

    def gradients(self, batches: Any) -> float:
        """Their own loss, labels -100 where nothing is learned."""
        out = self.model(
            input_ids=batches.ids,
            attention_mask=batches.mask,
            pixel_values=batches.pixels,
            labels=batches.labels,
            use_cache=False,
        )
        out.loss.backward()
        return out.loss.item()


def take_off(model: VLM) -> None:
    """Take the factors off without merging them."""
    for path, linear in list(lora_linears(model)):
        parent, _, child = path.rpartition(".")
        setattr(model.get_submodule(parent), child, linear.base)


def adapted(model: nn.Module, factors: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> nn.Module:
    """PEFT's model with the same factors, in the dtype of the rest."""
    import peft

    pattern = r".*language_model\.layers\..*_proj"
    settings = peft.LoraConfig(
        r=LORA.rank, lora_alpha=32, lora_dropout=0.0, target_modules=pattern, task_type="CAUSAL_LM"
    )
    adapted = peft.get_peft_model(model, settings, autocast_adapter_dtype=False)
    for path, (down, up) in factors.items():
        for rename, replacement in RENAMES:
            path = re.sub(rename, replacement, path)
        theirs = adapted.base_model.model.get_submodule(path)
        with torch.no_grad():
            theirs.lora_A["default"].weight.copy_(down)
            theirs.lora_B["default"].weight.copy_(up)
    return adapted
