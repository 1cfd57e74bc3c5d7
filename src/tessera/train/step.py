"""One optimizer step over one or several batches: count first, divide once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from tessera.train.objective import Objective
from tessera.train.optimizers import Optimizer
from tessera.train.parallel import ALONE, Ranks, add_up, totals


@dataclass(frozen=True)
class StepResult:
    """Weighted mean loss of the step, what it was divided by, and the gradient norm before clipping."""

    loss: float
    normaliser: float
    gradient_norm: float


def precision_context(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 products with float32 weights, or plain float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def accumulate_gradients(
    objective: Objective, batches: Sequence[Any], device: torch.device, precision: str, ranks: Ranks = ALONE
) -> tuple[float, float]:
    """Backward over this rank's batches of the step, maybe none; returns (its part of the loss, normaliser).

    The normaliser is the sum over all batches of all ranks before the first forward pass, so that splitting
    a step into more batches or over more processes changes nothing but rounding.
    """
    (normaliser,) = totals([sum(objective.weight(batch) for batch in batches)], ranks, device)
    if normaliser <= 0:
        raise ValueError("this step has no supervised token; check that the data contains answers to learn")
    total = 0.0
    for batch in batches:
        with precision_context(precision, device):
            loss = objective.loss_sum(batch, device) / normaliser
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total, normaliser


def train_step(
    objective: Objective,
    batches: Sequence[Any],
    optimizer: Optimizer,
    factor: float,
    device: torch.device,
    precision: str,
    ranks: Ranks = ALONE,
) -> StepResult:
    """Gradients, clipping and one update at `factor` times the peak rates."""
    loss, normaliser = accumulate_gradients(objective, batches, device, precision, ranks)
    loss = add_up(loss, optimizer.parameters, ranks)
    return StepResult(loss, normaliser, optimizer.step(factor))
