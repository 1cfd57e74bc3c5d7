"""A step that was no number, computed again: which sample, which module, which weight."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from tessera.nn.lora import own_name
from tessera.train.compiled import uncompiled
from tessera.train.loop import Trainer
from tessera.train.state.replays import KeptStep
from tessera.train.step import Step


@dataclass(frozen=True)
class Diagnosis:
    """What a kept step gave when it was computed again."""

    weights: tuple[int, int]
    """Stage and step whose weights were taken: the step's own, or later ones where its states are gone."""
    losses: dict[str, float]
    """Mean loss of each sample alone, by its key."""
    loss: float
    gradient_norm: float
    weight: str | None
    """The first weight that is not finite, before the step."""
    output: str | None
    """The first module in the forward passes whose output is not finite."""
    gradient: str | None
    """The first module in the backward passes whose output gets a gradient that is not finite."""
    trained: str | None
    """The first weight, in the order of names, whose gradient is not finite."""


def replay(trainer: Trainer, kept: KeptStep) -> Diagnosis:
    """Compute a kept step again, at the weights it had; nothing is written, nothing is learned.

    ValueError for a step that is not of this run.
    """
    weights = trainer.rewind(kept.stage, kept.step)
    compute = trainer.stepping.computation(kept.stage, kept.step)
    model = trainer.model
    broken = first(model, lambda parameter: parameter)
    losses = dict(_sample_losses(compute, kept))
    how = trainer.recipe.stages[kept.stage].compile
    with watched(model) as seen, uncompiled(how):
        own, _ = compute.gradients(kept.batches)
    gradients = [p.grad.float().norm() for p in model.parameters() if p.grad is not None]
    norm = float(torch.stack(gradients).norm()) if gradients else 0.0
    trained = first(model, lambda parameter: parameter.grad)
    model.zero_grad(set_to_none=True)
    found = (seen.get("output"), seen.get("gradient"))
    return Diagnosis(weights, losses, float(own), norm, broken, *found, trained)


@torch.no_grad()
def _sample_losses(compute: Step, kept: KeptStep) -> Iterator[tuple[str, float]]:
    """Without drop path and dropout, so that a sample's loss is its own."""
    compute.model.eval()
    for batch in kept.batches:
        for sample in compute.objective.alone(batch):
            loss = float(compute.objective.loss_sum(compute.model, sample, compute.device))
            weight = compute.objective.weight(sample)
            yield ", ".join(compute.objective.keys(sample)), loss / weight if weight else math.nan
    compute.model.train()


def first(model: nn.Module, tensor: Any) -> str | None:
    """Own name of the first parameter whose `tensor` is there and not finite."""
    for name, parameter in model.named_parameters():
        if (value := tensor(parameter)) is not None and not value.isfinite().all():
            return own_name(name)
    return None


@contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, str]]:
    """Names of the first modules with an "output" and a "gradient" that is not finite, as they are met."""
    seen: dict[str, str] = {}

    def meet(what: str, name: str, tensor: torch.Tensor) -> None:
        if what not in seen and not tensor.isfinite().all():
            seen[what] = name

    def after(name: str, module: nn.Module, given: Any, out: Any) -> None:
        for tensor in out if isinstance(out, tuple) else (out,):
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                meet("output", name, tensor)
                if tensor.requires_grad:
                    tensor.register_hook(partial(meet, "gradient", name))

    handles = [
        module.register_forward_hook(partial(after, name or "model"))
        for name, module in model.named_modules()
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
