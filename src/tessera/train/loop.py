"""The one loop: every stage of every recipe runs here, and a run that stops goes on where it was.

Telemetry is a return value: `Trainer.run` yields a report per step and writes it to `telemetry.jsonl`.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from torch import nn

from tessera.nn.drop_path import set_drop_path
from tessera.nn.recompute import set_recompute
from tessera.runtime.device import bound_product_caches, choose_device
from tessera.runtime.interrupt import Stop
from tessera.runtime.locks import FolderLock
from tessera.runtime.progress import Progress, silent
from tessera.train.compiled import set_compiled
from tessera.train.keeping import Keeper
from tessera.train.measuring import Measuring
from tessera.train.objective.contract import Beginnable, Beginning, Loader
from tessera.train.objective.policies.loader import RolloutLoader
from tessera.train.objective.policies.rollouts import Respond
from tessera.train.parallel.mesh import arrange
from tessera.train.parallel.ranks import join, totals
from tessera.train.parallel.shard import parallelise, shardable
from tessera.train.recipe import Stage
from tessera.train.setup import Setup
from tessera.train.state.folder import RunPosition, SavedState
from tessera.train.stepping import Stepping
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
        respond: Respond | None = None,
        held: bool = False,
        changed_data: bool = False,
        progress: Progress = silent,
    ) -> None:
        self._progress, self._respond = progress, respond
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
        self.masters = Masters(self.recipe.precision)
        self._keeper = Keeper(setup, folder, self.mesh, self.masters, changed_data)
        begun = (self.resumed_at or (0, 0))[0]
        for index in range(begun + 1):
            self._wrap(index)  # a state holds the model as its stage wraps it
        self._keeper.require_room(begun)
        parallelise(self.model, self.mesh, self.masters.around)
        self.model.to(self.device)
        self.stepping = Stepping(self.recipe, self.model, self.device, self.mesh)

    @property
    def damaged(self) -> list[str]:
        """States that were passed over, a line each."""
        return self._keeper.states.damaged

    @property
    def resumed_at(self) -> tuple[int, int] | None:
        """Stage number and step at which a saved run goes on; None for a fresh start."""
        saved = self._keeper.saved
        return (saved.position.stage, saved.position.step) if saved else None

    def run(self) -> Iterator[StepReport]:
        """All steps that are left. FloatingPointError when the loss diverges, ValueError for bad data."""
        start = self.resumed_at or (0, 0)
        self._keeper.begin()
        try:
            with closing(Journal(self.folder, start, self.ranks.leads, self.recipe.best)) as self._journal:
                for index in range(start[0], len(self.recipe.stages)):
                    yield from self._run_stage(index, self._keeper.saved if index == start[0] else None)
                    if self.stopped:
                        break
            self._keeper.states.commit()
        except RuntimeError as error:
            if (lost := self.ranks.lost(error)) is error:
                raise
            raise lost from error
        finally:
            if self._lock is not None:
                self._lock.close()

    def stage_folder(self, index: int) -> Path:
        """Where the model of a finished stage is written."""
        return self._keeper.stage_folder(index)

    @contextmanager
    def _begin(self, index: int, saved: SavedState | None) -> Iterator[tuple[Optimizer, Loader]]:
        """Optimizer and loader of a stage, and the model, as they stood in a state; None for its start."""
        stage = self.recipe.stages[index]
        self.masters.hold(self.model)
        assignments = assign(self.model, stage.rules)
        with closing(self.setup.loader(index, self.mesh.data)) as loader:
            if isinstance(loader, RolloutLoader):
                loader.respond = self._respond
            begun = saved is not None and saved.position.step > 0
            if saved is not None and not begun:  # first, for means begin with the weights
                self._keeper.restore(None)
            self._begin_objective(index, saved)
            optimizer = Optimizer(assignments, stage.optimizer, self.masters)
            if saved is not None and begun:
                self._keeper.restore(optimizer)
                loader.load_state_dict(saved.position.loader, changed_data=self._changed_data)
            self.model.train()
            set_drop_path(self.model, stage.drop_path, stage.drop_path_uniform)
            set_recompute(self.model, stage.recompute)
            set_compiled(self.model, stage.compile)
            with cached_states(stage, self.model, self.mesh):
                yield optimizer, loader

    def rewind(self, index: int, step: int) -> tuple[int, int]:
        """Bring the model to where it stood before a step, by taking again the steps behind the last state.

        Nothing is written. Where all states are behind the step the newest one is taken. Returns stage and
        step of the weights. ValueError for a step that this run doesn't have, or hasn't come to.
        """
        saved = self._keeper.saved
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
                self.stepping.take(index, number, optimizer, loader)
        return max((position.stage, position.step), (index, step))

    def _run_stage(self, index: int, saved: SavedState | None) -> Iterator[StepReport]:
        steps, recipe = self.recipe.stages[index].steps, self.recipe
        position = saved.position if saved else RunPosition(index)
        unread = Unread(recipe, self.folder / "replay", self.ranks.rank, position.skipped)
        with self._begin(index, saved) as (optimizer, loader):
            if not position.step:
                self._keeper.base(index)
            for step in range(position.step, steps):
                taken = self._measured(self.stepping.take(index, step, optimizer, loader))
                unread.add(taken)
                self._journal.note(index, step, loader.keys)
                if self._journal.best.see(taken.report):
                    self._keeper.best(index, optimizer)
                if (step + 1) % recipe.log_every == 0 or step + 1 == steps:
                    yield from self._tell(index, unread)
                if step + 1 < steps:
                    stopping = self._stopping()
                    if stopping or (step + 1) % recipe.save_every == 0:
                        yield from self._tell(index, unread)
                        self._journal.write_mixture(recipe.stages[index].name, loader.stats.seen)
                        self._save(self._position(index, step + 1, loader, unread), optimizer)
                    if stopping:
                        self.stopped = (index, step + 1)
                        return
            self._journal.write_mixture(recipe.stages[index].name, loader.stats.seen)
        self.model.eval()
        self._finish(index, optimizer)

    def _begin_objective(self, index: int, saved: SavedState | None) -> None:
        """Let an objective that remembers see the weights that its stage starts from."""
        stage = self.recipe.stages[index]
        if not isinstance(stage.objective, Beginnable):
            return
        learner, rest = self.setup.learner, (self.mesh, self.device, self._progress)
        running = stage.objective.begin(Beginning(stage, learner, self.setup.sources[index], *rest))
        if held_out := self.setup.validation[index]:
            data = self.setup.validation_data(index)
            self.stepping.held_out[index] = running.held_out(Beginning(data, learner, held_out, *rest))
        if saved is not None and saved.position.objective:
            running.load_state_dict(saved.position.objective)
        self.stepping.running[index] = running

    def _position(self, index: int, step: int, loader: Loader, unread: Unread) -> RunPosition:
        """Where the run stands before a step."""
        running = self.stepping.running.get(index)
        memory = {} if running is None else running.state_dict()
        return RunPosition(index, step, loader.state_dict(), unread.skipped, memory)

    def _tell(self, index: int, unread: Unread) -> Iterator[StepReport]:
        """Reports of the steps since the last reading, written and given on."""
        reports, fault = unread.read()
        for report in reports:
            self._journal.write(report)
            yield report
        if fault is not None:
            raise self._keeper.diverged(f"stage {self.recipe.stages[index].name!r}, {fault}")

    def _finish(self, index: int, optimizer: Optimizer) -> None:
        """Save the model of a stage, and the state behind it; stop there when somebody asked for it."""
        self._keeper.stage(index, optimizer)
        self._wrap(index + 1)
        self._save(RunPosition(index + 1), optimizer)
        last = index + 1 == len(self.recipe.stages)
        if not last and self._stopping():
            self.stopped = (index + 1, 0)
        elif self.after_stage and self.ranks.leads:
            self.after_stage(index, self.recipe.stages[index])

    def _stopping(self) -> bool:
        """Whether any rank was asked to stop: all stop together."""
        asked, written = totals([self.stop.asked, self._keeper.states.written], self.ranks)
        if written == self.ranks.world:
            self._keeper.states.commit()
        return asked > 0

    def _wrap(self, index: int) -> None:
        """Give the model the LoRA factors of a stage, if it is one."""
        for stage in self.recipe.stages[index : index + 1]:
            wrap(self.model, stage.rules, self.recipe.seed, self.masters)

    def _save(self, position: RunPosition, optimizer: Optimizer) -> None:
        """The state, behind the reports of its steps."""
        self._journal.sync()
        self._keeper.save(position, optimizer)

    def _measured(self, taken: TakenStep) -> TakenStep:
        report = taken.report
        compute = self.stepping.computation(report.stage_index, report.step, held_out=True)
        try:
            return self._measuring.behind(taken, compute, self._journal.write_answers)
        except FloatingPointError as error:
            raise self._keeper.diverged(f"stage {report.stage!r}, step {report.step}: {error}") from error
