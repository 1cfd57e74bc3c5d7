"""Steps whose figures are still on the device: they are read together, and judged in order.

A reading waits for the device. A step that was no number changed nothing (`update/optimizers.py`), so a look
behind several is early enough.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tessera.runtime.shown import shown
from tessera.train.recipe import Recipe
from tessera.train.state.replays import keep_step
from tessera.train.step import StepResult
from tessera.train.watch.telemetry import StepReport


@dataclass(frozen=True)
class TakenStep:
    """A step with its report, which still lacks loss and norm, and this rank's batches."""

    report: StepReport
    result: StepResult
    batches: Sequence[Any]


class Unread:
    """The steps of a stage since the last reading. `skipped` of its steps were no number before.

    Batches of steps that were no number are kept in `folder` for a replay.
    """

    def __init__(self, recipe: Recipe, folder: Path, rank: int, skipped: int = 0) -> None:
        self._recipe, self._folder, self._rank = recipe, folder, rank
        self.skipped = skipped
        self._steps: list[TakenStep] = []

    def add(self, step: TakenStep) -> None:
        """A step that was just taken."""
        self._steps.append(step)

    def read(self) -> tuple[list[StepReport], FloatingPointError | None]:
        """Whole reports of all steps up to one that ends the run, and why it does. The same on all ranks."""
        steps, self._steps = self._steps, []
        if not steps:
            return [], None
        began = time.perf_counter()
        scalars = [
            torch.stack([x.to(s.result.loss) for x in (*s.result.figures.values(), *s.result.always)])
            for s in steps
        ]
        read = torch.stack(scalars).tolist()
        waited = (time.perf_counter() - began) / len(steps)
        reports = []
        for step, (*others, loss, norm) in zip(steps, read, strict=True):
            whole = {"loss": loss, "gradient_norm": norm, "seconds": step.report.seconds + waited}
            whole["figures"] = dict(zip(step.result.figures, others, strict=True))
            if math.isfinite(loss) and math.isfinite(norm):
                reports.append(replace(step.report, **whole))
                continue
            kept = keep_step(self._folder, self._rank, step.report, step.batches, loss, norm)
            what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient norm is {norm}"
            if fault := self._judge(f"step {step.report.step}: the {what}", kept):
                return reports, fault
            reports.append(replace(step.report, **whole, skipped=True))
        return reports, None

    def _judge(self, what: str, kept: Path | None) -> FloatingPointError | None:
        recipe = self._recipe
        told = f"{what}: the run diverged; lower learning_rate or use precision float32"
        if kept is not None:
            told += f" (its samples: tessera train RECIPE --replay {shown(kept)})"
        if recipe.on_nonfinite == "stop":
            return FloatingPointError(told)
        self.skipped += 1
        if self.skipped > recipe.most_skipped:
            return FloatingPointError(
                f"{told}; such steps of the stage: {self.skipped}, most_skipped: {recipe.most_skipped}"
            )
        return None
