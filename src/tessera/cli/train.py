"""`tessera train RECIPE.py [--out FOLDER] [--stages.0.steps 20 ...]`: run a recipe, any field settable."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tessera.train.loop import Trainer
from tessera.train.parallel import join
from tessera.train.param_groups import table
from tessera.train.recipe import Recipe, load_recipe
from tessera.train.setup import Setup, set_up
from tessera.train.telemetry import StepReport

USAGE = """usage: tessera train RECIPE.py [--out FOLDER] [--json] [--FIELD VALUE ...]

RECIPE.py has a function recipe(); any field of it can be set, for example
  --stages.0.steps 20   --seed 3   --precision float32   --stages.0.sources.0.meta my_data.json
`tessera train RECIPE.py --help` lists all fields. A run that was interrupted goes on in its folder."""

Figures = dict[str, dict[str, float]]
"""Stage name to its figures."""


def main(argv: list[str]) -> int:
    """Entry of the verb."""
    if not argv or argv[0].startswith("-"):
        print(USAGE, file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    file, rest = Path(argv[0]), list(argv[1:])
    as_json = "--json" in rest
    rest = [argument for argument in rest if argument != "--json"]
    out = Path(_take(rest, "--out") or f"runs/{file.stem}")
    ranks = join()
    console = Console(stderr=as_json, quiet=not ranks.leads)
    with bars(console) as progress:
        trainer = prepare(_override(load_recipe(file), rest, file), out, progress)
        figures = train(trainer, progress)
    last = trainer.stage_folder(len(trainer.recipe.stages) - 1)
    console.print(f"model written to {last}", soft_wrap=True)
    if as_json and ranks.leads:
        print(json.dumps({"out": str(out), "model": str(last), "stages": figures}))
    return 0


def prepare(recipe: Recipe, out: Path, progress: Progress) -> Trainer:
    """Build, check every record, and open the run's folder. Raises DataError with all faults."""
    trainer = Trainer(checked(recipe, progress), out)
    if trainer.resumed_at:
        stage, step = trainer.resumed_at
        progress.console.print(f"{out}: going on at stage {stage}, step {step}", soft_wrap=True)
    return trainer


def checked(recipe: Recipe, progress: Progress) -> Setup:
    """Set up, every record checked before the first step, with a bar where there is something to read."""
    tasks: dict[str, TaskID] = {}

    def move(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = progress.add_task(f"check {name}", total=total, note="")
        progress.update(tasks[name], completed=done)

    setup = set_up(recipe, move)
    if setup.report.records:
        progress.console.print(setup.report.describe(), highlight=False, soft_wrap=True)
    return setup


def train(trainer: Trainer, progress: Progress) -> Figures:
    """Drive the loop, one bar a stage; returns last loss, speed and fill of each stage."""
    figures: Figures = {}
    tasks: dict[int, TaskID] = {}
    for report in trainer.run():
        if report.stage_index not in tasks:
            progress.console.print(rules_table(trainer, report.stage_index))
            tasks[report.stage_index] = progress.add_task(report.stage, total=report.steps, note="")
        progress.update(tasks[report.stage_index], completed=report.step + 1, note=_note(report))
        _count(figures.setdefault(report.stage, {}), report)
    return figures


def bars(console: Console) -> Progress:
    """Progress bars with a note, the time gone and the time left."""
    count = TextColumn("{task.completed:.0f}/{task.total}")
    note = TextColumn("{task.fields[note]}")
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    return Progress("{task.description}", BarColumn(20), count, note, *times, console=console)


def rules_table(trainer: Trainer, index: int) -> Table:
    """What a stage trains and what it freezes."""
    stage = trainer.recipe.stages[index]
    grid = Table("pattern", "parameters", "rate", title=f"stage {index}: {stage.name}", title_justify="left")
    for pattern, count, rate in table(trainer.model, stage.rules):
        grid.add_row(pattern, f"{count:,}", rate)
    return grid


def _override(recipe: Recipe, arguments: list[str], file: Path) -> Recipe:
    """The recipe with fields from the command line; unknown ones end the program with tyro's message."""
    plain = (tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff)
    return tyro.cli(Recipe, default=recipe, args=arguments, prog=f"tessera train {file}", config=plain)


def _take(arguments: list[str], name: str) -> str | None:
    """Remove `name value` from the arguments and return the value."""
    if name not in arguments:
        return None
    at = arguments.index(name)
    if at + 1 == len(arguments):
        raise ValueError(f"{name}: no value; give a folder")
    value = arguments[at + 1]
    del arguments[at : at + 2]
    return value


def _note(report: StepReport) -> str:
    speed = report.tokens / max(report.seconds, 1e-9)
    return f"loss {report.loss:.3f}  {speed:,.0f} tok/s  fill {report.token_fill:.0%}"


def _count(figures: dict[str, float], report: StepReport) -> None:
    for name in ("seconds", "wait", "tokens", "trained", "samples"):
        figures[name] = figures.get(name, 0.0) + getattr(report, name)
    figures["steps"] = report.step + 1
    figures["loss"] = report.loss
    figures["token_fill"] = report.token_fill
    figures["tokens_per_second"] = figures["tokens"] / figures["seconds"]
