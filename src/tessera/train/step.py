"""One optimizer step over one or several batches: count first, divide once."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import nn

from tessera.packing.config import Limits
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.contract import Fillable, Objective, Running
from tessera.train.parallel.idle import shared_work
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.ranks import add_gradients, add_up, totals, widen
from tessera.train.parallel.shard import reshard
from tessera.train.update.optimizers import Optimizer


@dataclass(frozen=True)
class StepResult:
    """Weighted mean loss of the step, what it was divided by, and the gradient norm before clipping.

    Loss, float64, and norm, float32, are scalars that stay on the device: every reading waits for it. A step
    in which one of them is not finite changed nothing.
    """

    loss: torch.Tensor
    normaliser: float
    gradient_norm: torch.Tensor
    figures: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """What the objective says besides, scalars on the device."""

    @property
    def always(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and norm, which every step has."""
        return self.loss, self.gradient_norm


@dataclass(frozen=True)
class Step:
    """What is minimised for which model, and where it is computed."""

    objective: Objective
    model: nn.Module
    device: torch.device
    mesh: ProcessMesh = ProcessMesh()
    most: int = 1
    """Batches of a step that a rank gets at most; asked where ranks wait for each other in a pass."""
    seed: int = 0
    """Of the step: drop path and dropout draw from it and the batch, whichever rank computes it."""
    filled_to: Limits | None = None
    """Capacities up to which batches that are learned from are padded, so that all have one shape."""

    def gradients(self, batches: Sequence[Any]) -> tuple[torch.Tensor, float]:
        """Backward over this rank's batches, maybe none; returns (its part of the loss, normaliser).

        The loss is a float64 scalar that stays on the device. The normaliser is the sum over all batches of
        all ranks before the first forward pass, so that splitting a step into more batches or over more
        processes changes nothing but rounding.
        """
        normaliser, work = shared_work(self.objective, self.model, batches, self.mesh, self.most)
        if normaliser <= 0:
            raise ValueError(
                "this step has no supervised token; check that the data contains answers to learn"
            )
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for number, (batch, factor) in enumerate(work):
            if number:
                for parameter in self.model.parameters():
                    if parameter.grad is not None:
                        widen(parameter)
            torch.manual_seed(derive_seed("noise", self.seed, *self.objective.keys(batch)))
            loss = self.objective.loss_sum(self.model, self._shaped(batch), self.device) / normaliser
            (loss * factor).backward()  # type: ignore[no-untyped-call]
            if factor:
                total += loss.detach()
        return total, normaliser

    def _shaped(self, batch: Any) -> Any:
        """A batch to learn from, in the shape that all have."""
        if self.filled_to is None:
            return batch
        assert isinstance(self.objective, Fillable)  # a stage of others has none
        return self.objective.filled(self.model, batch, self.filled_to)

    @torch.no_grad()
    def measure(self, batches: Iterable[Any]) -> float:
        """Weighted mean loss over batches that all ranks have; each computes its share, nothing is learned.

        FloatingPointError when it is not finite.
        """
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        weight = 0.0
        ranks, rest = self.mesh.data, iter(batches)
        while row := list(islice(rest, ranks.world)):
            own = row[ranks.rank : ranks.rank + 1]
            share, work = shared_work(self.objective, self.model, own, self.mesh, 1)
            weight += share
            for batch, factor in work:
                found = self.objective.loss_sum(self.model, batch, self.device)
                total += found if factor else 0.0
        reshard(self.model)
        (loss,) = totals([float(total)], ranks)
        if weight <= 0:
            raise ValueError("validation: no supervised token; check that the records have answers")
        if not math.isfinite(loss):
            raise FloatingPointError(f"the validation loss is {loss}: the run diverged; lower learning_rate")
        return loss / weight

    def update(self, batches: Sequence[Any], optimizer: Optimizer, factor: float) -> StepResult:
        """Gradients, clipping, one update at `factor` times the peak rates; nothing waits for the device."""
        own, normaliser = self.gradients(batches)
        total = add_up(own, self.mesh.data)
        add_gradients(optimizer.parameters, self.mesh.copies)
        self.mesh.ranks.tick()
        norm, _ = optimizer.step(factor, total)
        figures = self.objective.figures() if isinstance(self.objective, Running) else {}
        return StepResult(total, normaliser, norm, figures)
