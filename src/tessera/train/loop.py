"""The one loop: every stage of every recipe runs here, and a run that stops goes on where it was.

Telemetry is a return value: `Trainer.run` yields a report per step and writes it to `telemetry.jsonl`.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, astuple, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tessera.nn.drop_path import set_drop_path
from tessera.nn.recompute import set_recompute
from tessera.runtime.device import bound_product_caches, choose_device, choose_dtype
from tessera.runtime.disk import require_writable
from tessera.runtime.interrupt import Stop
from tessera.runtime.locks import FolderLock
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown
from tessera.train.compiled import set_compiled
from tessera.train.measuring import Measuring
from tessera.train.objective.contract import Counts, Loader, Tensors
from tessera.train.parallel.mesh import arrange
from tessera.train.parallel.ranks import join, totals
from tessera.train.parallel.shard import parallelise, shardable, whole
from tessera.train.publish import Publisher
from tessera.train.recipe import Stage
from tessera.train.setup import Setup
from tessera.train.state.change import changed
from tessera.train.state.folder import RunPosition, SavedState, StateFolder, require_finite
from tessera.train.state.resume import find_state, room_for_run, run_facts
from tessera.train.step import Step
from tessera.train.unread import TakenStep, Unread
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer
from tessera.train.update.rules import assign
from tessera.train.update.wrapping import wrap
from tessera.train.vision_cache import cached_states
from tessera.train.watch.evaluation import AnswerHook
from tessera.train.watch.journal import Journal
from tessera.train.watch.telemetry import StepReport

StageHook = Callable[[int, Stage], None]
BEST = "best"
"""Folder of the model of the best step."""


class Trainer:
    """Runs a recipe in a folder: finished stages in `<number>_<name>`, the running state in `state`.

    Locks the folder until the run ends, unless it is `held` by the caller. `stop` asks for an end behind the
    step that runs; `changed_data` goes on although the data is not what the state was saved with.
    ValueError when the folder is in use, can't be written, or holds another run or a damaged one.
    """

    def __init__(
        self,
        setup: Setup,
        folder: Path,
        after_stage: StageHook | None = None,
        *,
        answer: AnswerHook | None = None,
        held: bool = False,
        changed_data: bool = False,
    ) -> None:
        self.setup, self.recipe, self.folder = setup, setup.recipe, folder
        self.model: nn.Module = setup.learner.model
        self.ranks = join()
        bound_product_caches()
        self.device = choose_device(self.recipe.device)
        self.mesh = arrange(self.recipe.parallel, self.ranks, self.device, shardable(self.model))
        for stage in self.recipe.stages:
            self.mesh.require_shared(stage.name, stage.accumulate)
            self.mesh.require_whole_blocks(stage.name, stage.compile)
        self._measuring = Measuring(setup, self.model, self.mesh, answer)
        self.after_stage = after_stage
        self.stop = Stop()
        self.stopped: tuple[int, int] | None = None
        """Stage number and step where somebody stopped the run; it is saved there."""
        self._lock = None if held or not self.ranks.leads else FolderLock(folder)
        self._changed_data = changed_data
        self._states = StateFolder(folder / "state", self.mesh, background=self._in_background())
        self._run = run_facts(setup)
        self._saved = find_state(folder, self._states, self._run, changed_data)
        self._publisher = Publisher(setup, folder)
        if self.mesh.weights is not None:
            self._publisher.require_one_wrapping()
        self.masters = Masters(self.recipe.precision)
        begun, stages = (self.resumed_at or (0, 0))[0], setup.recipe.stages
        for index in range(begun + 1):
            self._wrap(index)  # a state holds the model as its stage wraps it
        if self.ranks.leads and begun < len(stages):
            require_writable(folder, room_for_run(self.model, stages, begun, self._states), folder=True)
        parallelise(self.model, self.mesh, self.masters.around)
        self.model.to(self.device)

    @property
    def damaged(self) -> list[str]:
        """States that were passed over, a line each."""
        return self._states.damaged

    @property
    def resumed_at(self) -> tuple[int, int] | None:
        """Stage number and step at which a saved run goes on; None for a fresh start."""
        return (self._saved.position.stage, self._saved.position.step) if self._saved else None

    def run(self) -> Iterator[StepReport]:
        """All steps that are left. FloatingPointError when the loss diverges, ValueError for bad data."""
        start = self.resumed_at or (0, 0)
        if self._saved is None:
            self._states.begin(self._run)
        try:
            with closing(Journal(self.folder, start, self.ranks.leads, self.recipe.best)) as self._journal:
                for index in range(start[0], len(self.recipe.stages)):
                    yield from self._run_stage(index, self._saved if index == start[0] else None)
                    if self.stopped:
                        break
            self._states.commit()
        except RuntimeError as error:
            if (lost := self.ranks.lost(error)) is error:
                raise
            raise lost from error
        finally:
            if self._lock is not None:
                self._lock.close()

    def stage_folder(self, index: int) -> Path:
        """Where the model of a finished stage is written."""
        return self._publisher.stage_folder(index)

    @contextmanager
    def _begin(self, index: int, saved: SavedState | None) -> Iterator[tuple[Optimizer, Loader]]:
        """Optimizer and loader of a stage, and the model, as they stood in a state; None for its start."""
        stage = self.recipe.stages[index]
        self.masters.hold(self.model)
        assignments = assign(self.model, stage.rules)
        with closing(self.setup.loader(index, self.mesh.data)) as loader:
            begun = saved is not None and saved.position.step > 0
            if saved is not None and not begun:  # first, for means begin with the weights
                self._restore(saved, None)
            optimizer = Optimizer(assignments, stage.optimizer, self.masters)
            if saved is not None and begun:
                self._restore(saved, optimizer)
                loader.load_state_dict(saved.position.loader, changed_data=self._changed_data)
            self.model.train()
            set_drop_path(self.model, stage.drop_path)
            set_recompute(self.model, stage.recompute)
            set_compiled(self.model, stage.compile)
            with cached_states(stage, self.model, self.mesh):
                yield optimizer, loader

    def _restore(self, saved: SavedState, optimizer: Optimizer | None) -> None:
        trained = changed(self.model, self.recipe.stages, saved.position)
        saved.restore(self.model, self.masters, optimizer, trained)

    def rewind(self, index: int, step: int) -> tuple[int, int]:
        """Bring the model to where it stood before a step, by taking again the steps behind the last state.

        Nothing is written. Where all states are behind the step the newest one is taken. Returns stage and
        step of the weights. ValueError for a step that this run doesn't have, or hasn't come to.
        """
        saved = self._saved
        position = saved.position if saved else RunPosition()
        if not (index < len(self.recipe.stages) and step < self.recipe.stages[index].steps):
            raise ValueError(f"stage {index}, step {step} is none of this recipe: give the recipe of the run")
        if position.stage < index:
            raise ValueError(
                f"the run stands at stage {position.stage}: its states of stage {index} are gone"
            )
        if self.ranks.world > 1:
            raise ValueError("a replay runs in one process: start it without torchrun")
        if position.stage == len(self.recipe.stages):
            position = replace(position, stage=index, step=self.recipe.stages[index].steps)
        with self._begin(position.stage, saved) as (optimizer, loader):
            for number in range(position.step, step if position.stage == index else 0):
                self._step(index, number, optimizer, loader)
        return max((position.stage, position.step), (index, step))

    def _run_stage(self, index: int, saved: SavedState | None) -> Iterator[StepReport]:
        steps, recipe = self.recipe.stages[index].steps, self.recipe
        position = saved.position if saved else RunPosition(index)
        unread = Unread(recipe, self.folder / "replay", self.ranks.rank, position.skipped)
        with self._begin(index, saved) as (optimizer, loader):
            if not position.step and self._publisher.writes_base(index):
                self._publish(partial(self._publisher.write_base, index), {})
            for step in range(position.step, steps):
                taken = self._measured(self._step(index, step, optimizer, loader))
                unread.add(taken)
                self._journal.note(index, step, loader.keys)
                if self._journal.best.see(taken.report):
                    optimizer.settle()
                    self._publish(partial(self._publisher.write, self.folder / BEST, index), {})
                if (step + 1) % recipe.log_every == 0 or step + 1 == steps:
                    yield from self._tell(index, unread)
                if step + 1 < steps:
                    stopping = self._stopping()
                    if stopping or (step + 1) % recipe.save_every == 0:
                        yield from self._tell(index, unread)
                        self._journal.write_mixture(recipe.stages[index].name, loader.stats.seen)
                        position = RunPosition(index, step + 1, loader.state_dict(), unread.skipped)
                        self._save(position, optimizer)
                    if stopping:
                        self.stopped = (index, step + 1)
                        return
            self._journal.write_mixture(recipe.stages[index].name, loader.stats.seen)
        self.model.eval()
        self._finish(index, optimizer)

    def _tell(self, index: int, unread: Unread) -> Iterator[StepReport]:
        """Reports of the steps since the last reading, written and given on."""
        reports, fault = unread.read()
        for report in reports:
            self._journal.write(report)
            yield report
        if fault is not None:
            raise self._diverged(f"stage {self.recipe.stages[index].name!r}, {fault}")

    def _finish(self, index: int, optimizer: Optimizer) -> None:
        """Save the model of a stage, and the state behind it; stop there when somebody asked for it."""
        folder, averages = self.stage_folder(index), optimizer.averages()
        self._require_finite(folder.name)
        optimizer.settle()
        self._publish(partial(self._publisher.write, folder, index), {})
        if averages:
            smooth = folder.with_name(f"{folder.name}_ema")
            self._publish(partial(self._publisher.write, smooth, index), averages)
        self._wrap(index + 1)
        self._save(RunPosition(index + 1), optimizer)
        last = index + 1 == len(self.recipe.stages)
        if not last and self._stopping():
            self.stopped = (index + 1, 0)
        elif self.after_stage and self.ranks.leads:
            self.after_stage(index, self.recipe.stages[index])

    def _stopping(self) -> bool:
        """Whether any rank was asked to stop: all stop together."""
        asked, written = totals([self.stop.asked, self._states.written], self.ranks)
        if written == self.ranks.world:
            self._states.commit()
        return asked > 0

    def _in_background(self) -> bool:
        """Whether states are written while the run goes on: by default beside an accelerator, for on a CPU it
        takes a second copy of weights and memory, and the processor."""
        wanted = self.recipe.save_in_background
        return self.device.type != "cpu" if wanted is None else wanted

    def _wrap(self, index: int) -> None:
        """Give the model the LoRA factors of a stage, if it is one."""
        for stage in self.recipe.stages[index : index + 1]:
            wrap(self.model, stage.rules, self.recipe.seed, self.masters)

    def _require_finite(self, where: str) -> None:
        try:
            require_finite(self.model, self.ranks)
        except FloatingPointError as error:
            raise self._diverged(f"{where}: {error}") from error

    def _save(self, position: RunPosition, optimizer: Optimizer) -> None:
        """The state, behind the reports of its steps."""
        optimizer.settle()
        self._require_finite(f"before stage {position.stage}, step {position.step}")
        self._journal.sync()
        trained = changed(self.model, self.recipe.stages, position)
        exact = ((name, value) for name, value in self.masters.exact(self.model) if name in trained)
        self._states.save(position, self._run, exact, optimizer)

    def _publish(self, write: Callable[[Tensors], None], instead: Mapping[str, torch.Tensor]) -> None:
        """Weights for other rooms: sharded ones come together one at a time, on the rank that writes."""
        named = self.recipe.save_dtype
        dtype = None if named == "start" else choose_dtype(named, self.device)
        tensors = whole(self.masters.as_stored(self.model, instead, dtype))
        if self.ranks.leads:
            write(tensors)
        for _ in tensors:  # what others have to take part in
            pass

    def _measured(self, taken: TakenStep) -> TakenStep:
        report = taken.report
        compute = self.computation(report.stage_index, report.step)
        try:
            return self._measuring.behind(taken, compute, self._journal.write_answers)
        except FloatingPointError as error:
            raise self._diverged(f"stage {report.stage!r}, step {report.step}: {error}") from error

    def _diverged(self, what: str) -> FloatingPointError:
        return FloatingPointError(
            f"{what}, in another --out. The last good state is kept in {shown(self._states.folder)}"
        )

    def computation(self, index: int, step: int) -> Step:
        """What a step of a stage computes, up to its batches."""
        stage = self.recipe.stages[index]
        return Step(
            *(stage.objective, self.model, self.device, self.mesh),
            most=stage.accumulate // self.mesh.data.world,
            seed=derive_seed("step", self.recipe.seed, index, step),
            filled_to=None if stage.compile == "none" else stage.packing,
        )

    def _step(self, index: int, step: int, optimizer: Optimizer, loader: Loader) -> TakenStep:
        stage = self.recipe.stages[index]
        started = time.perf_counter()
        where = f"stage {stage.name!r}, step {step}"
        self.ranks.at(f"{where}, loading")
        batches = _next_batches(loader, stage, step)
        waited = time.perf_counter() - started
        self.ranks.at(f"{where}, samples {_named(loader.keys)}")
        factor = stage.schedule.factor(step, stage.steps)
        compute = self.computation(index, step)
        result = compute.update(batches, optimizer, factor)
        seconds = time.perf_counter() - started
        self.ranks.at(f"{where}, behind it", watched=False)
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
