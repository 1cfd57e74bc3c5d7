"""One step of a run: its batches, the update, and what it says of itself."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import Any

import torch
from torch import nn

from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown
from tessera.train.objective.contract import Counts, Loader
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.ranks import totals
from tessera.train.recipe import Recipe, Stage
from tessera.train.step import Step
from tessera.train.unread import TakenStep
from tessera.train.update.optimizers import Optimizer
from tessera.train.watch.telemetry import StepReport


@dataclass(frozen=True)
class Stepping:
    """Takes steps of a recipe's stages; tells the other ranks where this one is."""

    recipe: Recipe
    model: nn.Module
    device: torch.device
    mesh: ProcessMesh
    running: dict[int, Any] = field(default_factory=dict)
    """By the number of their stage, objectives that remember something."""
    held_out: dict[int, Any] = field(default_factory=dict)
    """The same for records held out."""

    def objective(self, index: int) -> Any:
        """Of a stage, with what it remembers."""
        return self.running.get(index, self.recipe.stages[index].objective)

    def computation(self, index: int, step: int, held_out: bool = False) -> Step:
        """What a step of a stage computes, up to its batches; or what is measured of records held out."""
        stage = self.recipe.stages[index]
        objective = self.held_out.get(index) if held_out else None
        return Step(
            *(objective or self.objective(index), self.model, self.device, self.mesh),
            most=stage.accumulate // self.mesh.data.world,
            seed=derive_seed("step", self.recipe.seed, index, step),
            filled_to=None if stage.compile == "none" else stage.packing,
        )

    def take(self, index: int, step: int, optimizer: Optimizer, loader: Loader) -> TakenStep:
        """Load, compute, update. ValueError when the data ended before the stage."""
        stage, ranks = self.recipe.stages[index], self.mesh.ranks
        started = time.perf_counter()
        where = f"stage {stage.name!r}, step {step}"
        ranks.at(f"{where}, loading")
        batches = _next_batches(loader, stage, step)
        waited = time.perf_counter() - started
        ranks.at(f"{where}, samples {_named(loader.keys)}")
        factor = stage.schedule.factor(step, stage.steps)
        result = self.computation(index, step).update(batches, optimizer, factor)
        seconds = time.perf_counter() - started
        ranks.at(f"{where}, behind it", watched=False)
        own = sum((stage.objective.counts(batch) for batch in batches), Counts())
        counts = Counts(*map(int, totals(astuple(own), self.mesh.data)))
        report = StepReport(
            loss=math.nan,
            gradient_norm=math.nan,
            normaliser=result.normaliser,
            stage=stage.name,
            stage_index=index,
            step=step,
            steps=stage.steps,
            factor=factor,
            seconds=seconds,
            wait=waited,
            token_fill=loader.stats.token_fill,
            tile_fill=loader.stats.tile_fill,
            **asdict(counts),
        )
        return TakenStep(report, result, batches)


def _named(keys: Sequence[str], most: int = 8) -> str:
    """Samples of a step for a message; `train --replay` and the journal have all of them."""
    listed = ", ".join(shown(key) for key in keys[:most])
    return listed if len(keys) <= most else f"{listed} and {len(keys) - most} more"


def _next_batches(loader: Loader, stage: Stage, step: int) -> list[Any]:
    try:
        return loader.next_step()
    except StopIteration:
        raise ValueError(
            f"stage {stage.name!r}: the data ended at step {step} of {stage.steps}; "
            "lower steps or raise packing.epochs"
        ) from None
