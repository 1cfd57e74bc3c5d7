"""`tessera train RECIPE [--out FOLDER] [--stages.0.steps 20 ...]`: run a recipe, any field settable."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tessera.align.critics.process import ProcessCritic
from tessera.align.on_policy import PolicyResponder
from tessera.checkpoints.adapter import is_adapter
from tessera.checkpoints.lora.merging import merge_adapter
from tessera.cli.command import ReportingCommand
from tessera.cli.convert import in_words
from tessera.cli.terminal.tables import Terminal, figures_table, say
from tessera.cli.training.answers import Answerer
from tessera.cli.training.plan import Wanted, as_json, make_plan, require_memory, show_plan
from tessera.cli.training.replay import replay_step
from tessera.cli.training.watching import Watching
from tessera.recipes.shelf import load_recipe, match_recipes
from tessera.runtime.disk import require_writable
from tessera.runtime.interrupt import stop_on_signals
from tessera.runtime.locks import FolderLock
from tessera.runtime.progress import Bars, Progress, progress_bars
from tessera.runtime.shown import shown
from tessera.train.loop import StageHook, Trainer
from tessera.train.objective.learner import ChatLearner
from tessera.train.objective.policies.rollouts import Respond
from tessera.train.objective.policy import PolicyObjective
from tessera.train.parallel.ranks import join
from tessera.train.recipe import Recipe, require_filled
from tessera.train.setup import Setup, set_up
from tessera.train.update.rules import table
from tessera.train.watch.telemetry import StepReport, stage_figures

PLAN_FLAGS = ("--plan", "--no-plan-check")
MERGED = "merged"
"""Folder in a run's own: the model of a run that ended with LoRA."""


@dataclass(frozen=True, kw_only=True)
class RunCommand(ReportingCommand):
    """Run a recipe, stage after stage. A run that was interrupted goes on in its folder.

    Any field of the recipe can be set, for example --stages.0.steps 20, --seed 3, --precision float32,
    --stages.0.sources.0.meta my_data.json: `tessera train RECIPE --help` lists them.
    """

    chosen: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")]
    """A name of `tessera recipes`, or a Python file with a function recipe()."""
    out: Path | None = None
    """Folder of the run; runs/RECIPE by default."""
    resume: bool = False
    """Only go on: an error where no run stands. Without it the command goes on, or begins."""
    accept_changed_data: bool = False
    """Go on although the data has changed since the run was saved."""
    track: str | None = None
    """Give the numbers of every step to tensorboard, trackio, wandb, or to what module:function makes."""
    peak: float | None = None
    """TFLOP/s that one device can do in this precision: the useful ones are told as a share of it (MFU)."""
    plan: bool = False
    """Train nothing: show parameters, steps, memory part by part, time, and what to change to make it fit."""
    device_memory: str | None = None
    """Of --plan: memory of a device, for example 24GB; by default that of the device here."""
    devices: int | None = None
    """Of --plan: how many devices."""
    mfu: float = 0.4
    """Of --plan: share of the peak that useful operations are expected to reach."""
    no_plan_check: bool = False
    """Start although the plan says that the memory is far from enough."""
    no_merge: bool = False
    """Leave the adapter of a run that ends with LoRA as it is, instead of writing a merged model, too."""
    replay: Path | None = None
    """Train nothing: compute the step in this folder, RUN/replay/stage0-step000012, again, and say what in it
    is not finite."""


@dataclass(frozen=True, kw_only=True)
class TrainCommand(RunCommand):
    """Run a recipe, stage after stage. A run that was interrupted goes on in its folder."""

    recipe: Annotated[Recipe, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff]

    def run(self) -> int:
        if self.plan:
            return self._plan()
        for name in ("device_memory", "devices"):
            if getattr(self, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} is of --plan: add that, or leave it out")
        require_filled(self.recipe)
        ranks = join()
        console = Terminal(stderr=self.json, quiet=not ranks.leads)
        out = self.out or Path("runs") / folder_name(self.chosen)
        if self.replay is not None and self.out is None:
            out = self.replay.absolute().parent.parent
        require_run(out, self.resume)
        with hold(out), progress_bars(keep=True, shown=ranks.leads) as bars:
            if not self.no_plan_check:
                require_memory(self.recipe)
            trainer = prepare(self.recipe, out, bars, console, changed_data=self.accept_changed_data)
            if self.replay is not None:
                found = replay_step(trainer, self.replay, console)
                self.tell(lambda: asdict(found), lambda: None)
                return 0
            figures = stage_figures(follow(trainer, trainer.run(), bars, console, self.track, self.peak))
        if trainer.stopped:
            return say_stopped(trainer, console)
        last = trainer.stage_folder(len(trainer.recipe.stages) - 1)
        del trainer  # merging needs the memory
        if ranks.leads:
            model = last if self.no_merge else merged(last, out, console)
            self.tell(
                lambda: {"out": out, "model": model, "stages": figures},
                lambda: say(console, f"model written to {model}"),
            )
        return 0

    def _plan(self) -> int:
        console = Terminal(stderr=self.json, quiet=not join().leads)
        wanted = Wanted(self.device_memory, self.devices, self.peak, self.mfu)
        with progress_bars() as bars:
            plan, advice = make_plan(self.recipe, wanted, bars)
        self.tell(lambda: as_json(plan, advice), lambda: show_plan(plan, advice, console))
        return 0


def train_command(words: Sequence[str]) -> RunCommand | type[RunCommand]:
    """The command for the recipe that is named among the words: its fields become options.

    The recipe is the first free word that names one, wherever it stands. ValueError when there is none.
    """
    flags = ("--json", "--resume", "--help", "--accept-changed-data", "--no-merge", *PLAN_FLAGS)
    before = ["", *("" if "=" in word or word in flags else word for word in words)]
    pairs = zip(before, words, strict=False)
    free = [word for option, word in pairs if not option.startswith("--") and not word.startswith("-")]
    if not free:
        if any(word in ("-h", "--help") or word.startswith("--tyro-") for word in words):
            return RunCommand
        raise ValueError("no recipe: give a .py file or a name of `tessera recipes`")
    named = [word for word in free if word.endswith(".py") or match_recipes(word)] or free
    return TrainCommand(chosen=named[0], recipe=load_recipe(named[0]))


def folder_name(chosen: str) -> str:
    """Of a run that names no folder: as its file, or as the whole name of its recipe."""
    return Path(chosen).stem if chosen.endswith(".py") else chosen.replace("/", "_")


def require_run(out: Path, resume: bool) -> None:
    """ValueError when a run shall only go on and its folder has none."""
    if resume and not (out / "state").is_dir():
        raise ValueError(f"--resume: {shown(out)} holds no run to go on with; leave it away to begin one")


@contextmanager
def hold(out: Path) -> Iterator[None]:
    """Keep a run's folder from other processes. ValueError at once when one of them has it."""
    if not join().leads:
        yield
        return
    require_writable(out, folder=True)
    with FolderLock(out) as lock:
        if lock.unsafe:
            print(lock.unsafe, file=sys.stderr)
        yield


def prepare(
    recipe: Recipe,
    out: Path,
    progress: Progress,
    console: Console,
    after_stage: StageHook | None = None,
    changed_data: bool = False,
) -> Trainer:
    """Build, check every record, and open the run's folder, which `hold` holds. Raises DataError with all
    faults.
    """
    setup = set_up(recipe, lambda what, done, total: progress(f"check {what}", done, total))
    unused = [f"start.{name} is not used: start.checkpoint is a whole model" for name in recipe.start.unused]
    for remark in [*unused, *(remark for stage in recipe.stages for remark in stage.remarks)]:
        say(console, f"note: {remark}")
    if setup.report.records:
        say(console, setup.report.describe())
    learner = setup.learner
    answer = Answerer(learner, out) if isinstance(learner, ChatLearner) else None
    trainer = Trainer(
        *(setup, out, after_stage),
        answer=answer,
        respond=responder(setup),
        held=True,
        changed_data=changed_data,
        progress=progress,
    )
    for line in trainer.damaged:
        say(console, f"warning: {line}; going on from the one before")
    if trainer.resumed_at:
        stage, step = trainer.resumed_at
        left = f"going on at stage {stage}, step {step}"
        ended = "finished before, nothing is left to train"
        say(console, f"{out}: {left if stage < len(recipe.stages) else ended}")
    return trainer


def responder(setup: Setup) -> Respond | None:
    """Who responds where a recipe learns from the model's own responses; opens its critic."""
    found = [s.objective for s in setup.recipe.stages if isinstance(s.objective, PolicyObjective)]
    if not found:
        return None
    critic = ProcessCritic.open(found[0].critic) if found[0].critic else None
    return PolicyResponder(setup.learner, found[0], critic)


def follow(
    trainer: Trainer,
    reports: Iterable[StepReport],
    bars: Bars,
    console: Console,
    track: str | None = None,
    peak: float | None = None,
) -> list[StepReport]:
    """Drive the loop, one bar a stage, until it ends or a signal stops it; returns all reports."""
    seen: list[StepReport] = []

    def told() -> None:
        if trainer.ranks.leads:  # not by print: a signal may come in the middle of one
            os.write(2, b"\nstopping behind this step; once more ends at once\n")

    with (
        closing(Watching(trainer, bars, track, peak)) as watching,
        stop_on_signals(told, launched=trainer.ranks.world > 1) as trainer.stop,
    ):
        for report in reports:
            if not seen or seen[-1].stage_index != report.stage_index:
                console.print(rules_table(trainer, report.stage_index))
            for warning in watching.see(report):
                say(console, f"warning: {warning}")
            seen.append(report)
    return seen


def merged(last: Path, out: Path, console: Console) -> Path:
    """The model of a run to chat with: what its last stage left, or that adapter merged into its base."""
    if not is_adapter(last):
        return last
    target = out / MERGED
    if not target.exists():
        with progress_bars() as bars:
            done = merge_adapter(last, target, progress=bars)
        say(console, f"adapter written to {last}; merged, logits {in_words(done)}")
    return target


def say_stopped(trainer: Trainer, console: Console) -> int:
    """Where a run was stopped and how it goes on; the exit code."""
    assert trainer.stopped is not None
    stage, step = trainer.stopped
    say(console, f"stopped and saved at stage {stage}, step {step}; the same command goes on there")
    return 130


def rules_table(trainer: Trainer, index: int) -> Table:
    """What a stage trains and what it freezes."""
    stage = trainer.recipe.stages[index]
    grid = figures_table(
        "pattern", "parameters", "rate", title=f"stage {index}: {stage.name}", title_justify="left"
    )
    for pattern, count, rate in table(trainer.model, stage.rules):
        grid.add_row(escape(pattern), f"{count:,}", rate)
    return grid
