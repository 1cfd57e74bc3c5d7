"""The one loop: every stage of every recipe runs here, and a run that stops goes on where it was.

Telemetry is a return value: `Trainer.run` yields a report per step and writes it to `telemetry.jsonl`.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tessera.runtime.device import bound_product_caches, choose_device
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.contract import Counts, Loader
from tessera.train.optimizers import Optimizer
from tessera.train.parallel import join, totals
from tessera.train.param_groups import assign
from tessera.train.recipe import Stage
from tessera.train.setup import Setup
from tessera.train.state import RunPosition, StateFolder
from tessera.train.step import Step
from tessera.train.telemetry import StepReport, write_reports

StageHook = Callable[[int, Stage], None]


class Trainer:
    """Runs a recipe in a folder: finished stages in `<number>_<name>`, the running state in `state`."""

    def __init__(self, setup: Setup, folder: Path, after_stage: StageHook | None = None) -> None:
        self.setup, self.recipe, self.folder = setup, setup.recipe, folder
        self.model: nn.Module = setup.learner.model
        self.ranks = join()
        bound_product_caches()
        self.device = choose_device(self.recipe.device)
        self.after_stage = after_stage
        folder.mkdir(parents=True, exist_ok=True)
        self._state = StateFolder(folder / "state", self.recipe)
        self._saved = self._state.position()
        self.model.to(self.device)

    @property
    def resumed_at(self) -> tuple[int, int] | None:
        """Stage number and step at which a saved run goes on; None for a fresh start."""
        return (self._saved.stage, self._saved.step) if self._saved else None

    def run(self) -> Iterator[StepReport]:
        """All steps that are left. FloatingPointError when the loss diverges, ValueError for bad data."""
        torch.manual_seed(derive_seed("train", self.recipe.seed))
        start = self.resumed_at or (0, 0)
        file = self.folder / "telemetry.jsonl" if self.ranks.leads else Path(os.devnull)
        with write_reports(file, start) as write:
            for index in range(start[0], len(self.recipe.stages)):
                for report in self._run_stage(index, self._saved if index == start[0] else None):
                    if self.ranks.leads:
                        write(report)
                    yield report

    def stage_folder(self, index: int) -> Path:
        """Where the model of a finished stage is written."""
        return self.folder / f"{index}_{self.recipe.stages[index].name}"

    def _run_stage(self, index: int, saved: RunPosition | None) -> Iterator[StepReport]:
        stage = self.recipe.stages[index]
        optimizer = Optimizer(assign(self.model, stage.rules), stage.optimizer)
        begun = saved.step if saved else 0
        with closing(self.setup.loader(index, self.ranks)) as loader:
            if saved is not None:
                self._state.restore(self.model, optimizer if begun else None)
                if begun:
                    loader.load_state_dict(saved.loader)
            self.model.train()
            set_drop_path(self.model, stage.drop_path)
            for step in range(begun, stage.steps):
                yield self._step(index, step, optimizer, loader)
                if (step + 1) % self.recipe.save_every == 0 and step + 1 < stage.steps:
                    self._save(RunPosition(index, step + 1, loader.state_dict()), optimizer)
        self.model.eval()
        if self.ranks.leads:
            self.setup.save(self.stage_folder(index))
        self._save(RunPosition(index + 1, 0, {}), optimizer)
        if self.after_stage and self.ranks.leads:
            self.after_stage(index, stage)

    def _save(self, position: RunPosition, optimizer: Optimizer) -> None:
        if self.ranks.leads:
            self._state.save(position, self.model, optimizer)

    def _step(self, index: int, step: int, optimizer: Optimizer, loader: Loader) -> StepReport:
        stage = self.recipe.stages[index]
        started = time.perf_counter()
        batches = _next_batches(loader, stage, step)
        waited = time.perf_counter() - started
        factor = stage.schedule.factor(step, stage.steps)
        compute = Step(stage.objective, self.model, self.device, self.recipe.precision, self.ranks)
        result = compute.update(batches, optimizer, factor)
        own = sum((stage.objective.counts(batch) for batch in batches), Counts())
        counts = Counts(*map(int, totals(astuple(own), self.ranks, self.device)))
        return StepReport(
            stage=stage.name,
            stage_index=index,
            step=step,
            steps=stage.steps,
            factor=factor,
            seconds=time.perf_counter() - started,
            wait=waited,
            token_fill=loader.stats.token_fill,
            tile_fill=loader.stats.tile_fill,
            **asdict(result),
            **asdict(counts),
        )


def _next_batches(loader: Loader, stage: Stage, step: int) -> list[Any]:
    try:
        return loader.next_step()
    except StopIteration:
        raise ValueError(
            f"stage {stage.name!r}: the data ended at step {step} of {stage.steps}; "
            "lower steps or raise packing.epochs"
        ) from None


def set_drop_path(model: nn.Module, highest: float | None) -> None:
    """Linear in depth from 0 to `highest` (docs/facts/architecture.md), in every module that has a rate
    `drop_path`.

    None leaves the model's own rates. ValueError when no module has one.
    """
    if highest is None:
        return
    blocks: list[Any] = [module for module in model.modules() if hasattr(module, "drop_path")]
    if not blocks:
        raise ValueError(f"drop_path = {highest}: {type(model).__name__} drops no paths; leave it None")
    for block, rate in zip(blocks, torch.linspace(0, highest, len(blocks)).tolist(), strict=True):
        block.drop_path = rate
