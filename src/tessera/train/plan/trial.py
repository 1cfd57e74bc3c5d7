"""One step of training, by the code that trains, on a model without memory."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tessera.models.vlm import VLM
from tessera.nn.drop_path import set_drop_path
from tessera.nn.lora import FACTORS
from tessera.nn.recompute import set_recompute
from tessera.train.objective.contract import Beginnable
from tessera.train.plan.live import Held, MemoryBook, Moment, materialise
from tessera.train.plan.shape import SAMPLE, sampled_stack
from tessera.train.plan.subject import Batch
from tessera.train.recipe import Stage
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer
from tessera.train.update.rules import assign

CPU = torch.device("cpu")
UPDATE, IN_PASSING = ("update",), "update, in passing"
REPEATED = {"sample", "middle"}
"""Places of blocks whose moments tell nothing of a deeper stack: the last two hold more."""


@dataclass(frozen=True)
class Conditions:
    """What of a run decides how its weights are held."""

    device: torch.device
    """"meta" stands for an accelerator."""
    dtype: torch.dtype
    stored: torch.dtype
    """Of the weights before the run casts them."""

    @property
    def keeps_exact(self) -> bool:
        """Whether weights that the run rounds keep their float32 values."""
        return self.stored == torch.float32 and self.dtype == torch.bfloat16


class PlannedMasters(Masters):
    """Those of weights without values: a start in float32 is taken to be changed by rounding, all of it."""

    def keep_exact(self, model: nn.Module, book: MemoryBook, conditions: Conditions) -> None:
        """The float32 values of a start in float32, in the host's memory until a stage trains them."""
        if conditions.keeps_exact:
            for name, parameter in model.named_parameters():
                if parameter.dim():
                    self._values[name] = book.empty(parameter.shape, torch.float32, CPU)


def try_passes(
    model: nn.Module, stage: Stage, batches: Sequence[Batch], conditions: Conditions
) -> dict[Moment, Counter[Held]]:
    """The bytes of each kind at the fullest instant of every moment of the passes over the last batch.

    `model` lies on the meta device, with the factors of the stage; it is not changed.
    """
    with _trial(model, stage, batches, conditions) as trial:
        if len(batches) > 1:
            trial.give_gradients(torch.float32)
        objective = stage.objective
        if isinstance(objective, Beginnable):
            objective = objective.assumed(conditions.device)
        step = Step(objective, trial.model, conditions.device)
        with _Watch(trial.book).of(trial.model), trial.book:
            step.gradients(trial.batches[-1:])
    return trial.book.peaks


def try_update(
    model: nn.Module, stage: Stage, batches: Sequence[Batch], conditions: Conditions
) -> Counter[Held]:
    """The same of the optimizer's step, behind passes that left a gradient at every trained weight."""
    with _trial(model, stage, batches, conditions) as trial:
        trial.give_gradients(torch.float32 if len(batches) > 1 else None)
        trial.book.at(UPDATE, IN_PASSING)
        with trial.book:
            trial.optimizer.step(1.0, torch.zeros((), dtype=torch.float64))
    return trial.book.peaks[UPDATE]


@dataclass(frozen=True)
class _Trial:
    book: MemoryBook
    model: Any
    optimizer: Optimizer
    batches: list[Any]

    def give_gradients(self, dtype: torch.dtype | None) -> None:
        """To every trained weight, as batches before left them; None: in its own dtype."""
        with self.book.booked_as("gradients"):
            for parameter in self.optimizer.parameters:
                parameter.grad_dtype = None
                found = self.book.empty(parameter.shape, dtype or parameter.dtype, parameter.device)
                parameter.grad = found
                self.book.own(found, self.book.owner_of(parameter))


@contextmanager
def _trial(model: Any, stage: Stage, batches: Sequence[Batch], conditions: Conditions) -> Iterator[_Trial]:
    """All that stands before the first step of a stage; torch's random state is given back in the end."""
    book, model, noted = MemoryBook(conditions.device), copy.deepcopy(model), torch.get_rng_state()
    with book.booked_as("frozen weights"):
        materialise(model, book, conditions.device, conditions.dtype)
    with book.booked_as("teacher"):
        for module in getattr(model, "beside", ()):
            materialise(module, book, conditions.device, conditions.dtype)
    masters = PlannedMasters("float32" if conditions.dtype == torch.float32 else "bfloat16")
    with book, book.booked_as("masters"):
        masters.keep_exact(model, book, conditions)
        assignments = assign(model, stage.rules)
        for each in assignments:
            masters.master(each.name, each.parameter, stage.optimizer.offload)
    with book, book.booked_as("optimizer"):
        optimizer = Optimizer(assignments, stage.optimizer, masters)
    for each in assignments:
        factor = each.name.rpartition(".")[2] in FACTORS
        book.rename(each.parameter, "LoRA factors" if factor else "trained weights")
    for name, tensor in (
        *model.named_parameters(),
        *masters.exact(model),
        *optimizer.state_tensors().items(),
    ):
        book.own(tensor, sampled_stack(name))
    model.train()
    set_drop_path(model, stage.drop_path)
    set_recompute(model, stage.recompute)
    with book.booked_as("pictures"):
        made = [batch(book) for batch in batches]
    try:
        yield _Trial(book, model, optimizer, made)
    finally:
        torch.set_rng_state(noted)


class _Watch:
    """Hooks that tell a book which block is computed, forward or backward."""

    def __init__(self, book: MemoryBook) -> None:
        self.book, self.returning = book, False
        self._handles: list[Any] = []

    @contextmanager
    def of(self, model: Any) -> Iterator[None]:
        """While a step of this model is computed."""
        hooks = self._handles
        self.book.at(("inputs", "", "forward"), "activations of inputs")
        for beside in getattr(model, "beside", ()):
            hooks.append(beside.register_forward_pre_hook(self._forward("teacher", "")))
        hooks.append(model.register_forward_pre_hook(self._begin))
        for part, number, module in _places(model):
            hooks.append(module.register_forward_pre_hook(self._forward(part, number)))
            hooks.append(module.register_forward_hook(self._output(part, number)))
        for parameter in model.parameters():
            if parameter.requires_grad:
                hooks.append(parameter.register_post_accumulate_grad_hook(self._finish))
        try:
            yield
        finally:
            for handle in hooks:
                handle.remove()

    def _begin(self, *_: Any) -> None:
        self.book.at(("embedding", "", "forward"), "activations of decoder")

    def _finish(self, parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        self.book.rename(parameter.grad, "gradients")
        self.book.own(parameter.grad, self.book.owner_of(parameter))

    def _forward(self, part: str, number: str) -> Any:
        kind = "logits and loss" if part == "loss" else f"activations of {part}"
        owner = part if number == "sample" else ""

        def hook(*_: Any) -> None:
            if not self.returning:  # a block that is computed again belongs to the way back
                self.book.at((part, number, "forward"), kind, owner)

        return hook

    def _output(self, part: str, number: str) -> Any:
        def mark(_: torch.Tensor) -> None:
            self.returning = True
            self.book.at((part, number, "backward"), "backward, in passing")

        def hook(_: Any, __: Any, out: torch.Tensor) -> None:
            # The head's own backward pass is taken on the way forward.
            if not self.returning and out.requires_grad and part != "loss":
                out.register_hook(mark)

        return hook


def _places(model: Any) -> Iterator[tuple[str, str, nn.Module]]:
    """Part, place in it and module of everything whose passes are told apart."""
    for part, module in model.named_children():
        yield part, "", module
        blocks = getattr(module, "layers", ())
        for number, block in enumerate(blocks):
            yield part, _place(number, len(blocks)), block
    if isinstance(model, VLM):
        yield "loss", "", model.decoder.lm_head


def _place(number: int, depth: int) -> str:
    """The same word in stacks of any depth."""
    if number >= depth - 2:
        return "last" if number == depth - 1 else "before last"
    return {0: "first", SAMPLE: "sample"}.get(number, "middle")
