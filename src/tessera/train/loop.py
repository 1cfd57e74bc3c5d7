"""The one loop: every stage of every recipe runs here, and a run that stops goes on where it was.

Telemetry is a return value: `Trainer.run` yields a report per step and writes it to `telemetry.jsonl`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from tessera.models.vision.internvit import VisionBlock
from tessera.runtime.device import choose_device
from tessera.runtime.seeds import derive_seed
from tessera.train.objective import Counts, Objective
from tessera.train.optimizers import Optimizer
from tessera.train.parallel import Ranks, join, totals
from tessera.train.param_groups import assign
from tessera.train.recipe import Recipe, Stage
from tessera.train.state import Position, read_position, restore_state, save_state
from tessera.train.step import StepResult, train_step
from tessera.train.telemetry import StepReport, TelemetryWriter


class Loader(Protocol):
    """Batches without end or for some epochs, with a position that can be saved."""

    stats: Any

    def __next__(self) -> Any: ...

    def next_step(self) -> list[Any]:
        """This rank's batches of the next step. StopIteration on all ranks at the end of the data."""

    def state_dict(self) -> dict[str, Any]:
        """The position as plain JSON values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved position."""

    def close(self) -> None:
        """Stop workers."""


class Bench(Protocol):
    """The built objects of a run (see `train.build`)."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    @property
    def objective(self) -> Objective:
        """What is minimised."""

    def loader(self, stage: Stage, index: int, ranks: Ranks) -> Loader:
        """The batches of a stage for one rank."""

    def save(self, folder: Path) -> None:
        """Write the model in the layout that the other rooms open."""


StageHook = Callable[[int, Stage], None]


class Trainer:
    """Runs a recipe in a folder: finished stages in `<number>_<name>`, the running state in `state`."""

    def __init__(
        self, recipe: Recipe, bench: Bench, folder: Path, after_stage: StageHook | None = None
    ) -> None:
        self.recipe, self.bench, self.folder = recipe, bench, folder
        self.ranks = join()
        self.device = choose_device(recipe.device)
        self.after_stage = after_stage
        self._facts = recipe.model_dump(mode="json")
        folder.mkdir(parents=True, exist_ok=True)
        self._saved = read_position(folder / "state", self._facts)
        bench.model.to(self.device)

    @property
    def resumed_at(self) -> tuple[int, int] | None:
        """Stage number and step at which a saved run goes on; None for a fresh start."""
        return (self._saved.stage_index, self._saved.step) if self._saved else None

    def run(self) -> Iterator[StepReport]:
        """All steps that are left. FloatingPointError when the loss diverges, ValueError for bad data."""
        torch.manual_seed(derive_seed("train", self.recipe.seed))
        first = self._saved.stage_index if self._saved else 0
        file = self.folder / "telemetry.jsonl" if self.ranks.leads else Path(os.devnull)
        with TelemetryWriter(file, self.resumed_at or (0, 0)) as writer:
            for index in range(first, len(self.recipe.stages)):
                for report in self._run_stage(index):
                    if self.ranks.leads:
                        writer.write(report)
                    yield report

    def stage_folder(self, index: int) -> Path:
        """Where the model of a finished stage is written."""
        return self.folder / f"{index}_{self.recipe.stages[index].name}"

    def _run_stage(self, index: int) -> Iterator[StepReport]:
        stage = self.recipe.stages[index]
        optimizer = Optimizer(assign(self.bench.model, stage.rules), stage.optimizer)
        loader = self.bench.loader(stage, index, self.ranks)
        first = self._restore(index, optimizer, loader)
        self.bench.model.train()
        _set_drop_path(self.bench.model, stage.drop_path)
        try:
            for step in range(first, stage.steps):
                yield self._step(index, step, optimizer, loader)
                if (step + 1) % self.recipe.save_every == 0 and step + 1 < stage.steps:
                    self._save(Position(index, step + 1, loader.state_dict()), optimizer)
        finally:
            loader.close()
        self.bench.model.eval()
        if self.ranks.leads:
            self.bench.save(self.stage_folder(index))
        self._save(Position(index + 1, 0, {}), optimizer)
        if self.after_stage and self.ranks.leads:
            self.after_stage(index, stage)

    def _restore(self, index: int, optimizer: Optimizer, loader: Loader) -> int:
        """Bring back a saved position, once; returns the step to start with."""
        saved, self._saved = self._saved, None
        if saved is None:
            return 0
        restore_state(self.folder / "state", self.bench.model, optimizer if saved.step else None)
        if saved.step:
            loader.load_state_dict(saved.loader)
        return saved.step

    def _save(self, position: Position, optimizer: Optimizer) -> None:
        if self.ranks.leads:
            save_state(self.folder / "state", self._facts, position, self.bench.model, optimizer)

    def _step(self, index: int, step: int, optimizer: Optimizer, loader: Loader) -> StepReport:
        stage, objective = self.recipe.stages[index], self.bench.objective
        started = time.perf_counter()
        try:
            batches = loader.next_step()
        except StopIteration:
            raise ValueError(
                f"stage {stage.name!r}: the data ended at step {step} of {stage.steps}; "
                "lower steps or raise packing.epochs"
            ) from None
        waited = time.perf_counter() - started
        factor = stage.schedule.factor(step, stage.steps)
        precision = self.recipe.precision
        result = train_step(objective, batches, optimizer, factor, self.device, precision, self.ranks)
        own = sum((objective.counts(batch) for batch in batches), Counts())
        counts = Counts(*map(int, totals(astuple(own), self.ranks, self.device)))
        timing = (time.perf_counter() - started, waited)
        return _report(stage, index, step, result, factor, counts, timing, loader)


def _report(
    stage: Stage,
    index: int,
    step: int,
    result: StepResult,
    factor: float,
    counts: Counts,
    timing: tuple[float, float],
    loader: Loader,
) -> StepReport:
    return StepReport(
        stage=stage.name,
        stage_index=index,
        step=step,
        steps=stage.steps,
        loss=result.loss,
        normaliser=result.normaliser,
        gradient_norm=result.gradient_norm,
        factor=factor,
        samples=counts.samples,
        tokens=counts.tokens,
        tiles=counts.tiles,
        trained=counts.trained,
        seconds=timing[0],
        wait=timing[1],
        token_fill=loader.stats.token_fill,
        tile_fill=loader.stats.tile_fill,
    )


def _set_drop_path(model: nn.Module, highest: float | None) -> None:
    """Linear in depth from 0 to `highest` (facts 1.1)."""
    if highest is None:
        return
    blocks = [module for module in model.modules() if isinstance(module, VisionBlock)]
    for block, rate in zip(blocks, torch.linspace(0, highest, len(blocks)).tolist(), strict=True):
        block.drop_path = rate
