"""`tessera evaluate`: accuracy on held-out playground tasks, as a table, as JSON, as a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID
from rich.table import Column, Table

import tessera
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.shipped import default_model_folder
from tessera.engine.engine import Engine
from tessera.evaluation.report import Report, StageResult, report_page
from tessera.evaluation.runner import TaskResults, evaluate
from tessera.pages.page import write_page
from tessera.playground.scene import TASKS
from tessera.playground.talk import Mode
from tessera.runtime.device import choose_device, choose_dtype

WIDE = 110
"""Columns of a terminal in which the table has room to say what a task asks for."""


@dataclass(frozen=True)
class Arguments:
    """Measure a model on held-out questions about drawn pictures and clips."""

    model: Path | None = None
    """Checkpoint folder; the shipped scale model by default."""
    count: int = 200
    """Questions per task."""
    tasks: tuple[str, ...] = ()
    """Tasks to run; all by default."""
    level: int = 2
    """How hard the pictures are: 1 easy, 2 standard, 3 harder."""
    blind: bool = False
    """Ask every question a second time without its picture: the text-only baseline."""
    batch: int = 64
    """Questions answered together."""
    device: str = "auto"
    """Where to run: auto, cpu, cuda."""
    dtype: str = "float32"
    """Number format of the weights."""
    json: bool = False
    """Print one JSON object instead of a table."""
    out: Path | None = None
    """Write a report page (HTML) here."""


def main(argv: list[str]) -> int:
    """Load, evaluate, show."""
    given = tyro.cli(Arguments, args=argv, prog="tessera evaluate", config=(tyro.conf.FlagCreatePairsOff,))
    device = choose_device(given.device)
    folder = given.model or default_model_folder()
    loaded = load_checkpoint(folder, device, choose_dtype(given.dtype, device))
    results = run(given, loaded, "picture")
    baseline = run(given, loaded, "blind") if given.blind else None
    if given.out:
        write_page(given.out, report_page(page(given, loaded, results, baseline)))
    if given.json:
        summary = {"picture": results.summary(), "blind": baseline.summary() if baseline else None}
        print(json.dumps(summary))
    else:
        console = Console()
        console.print(accuracy_table(results, baseline, explained=console.width >= WIDE))
        print(f"{results.tokens_per_second:,.0f} tokens/s (prompts and answers)")
        print(f"report: {given.out}" if given.out else "a page with pictures: --out report.html")
    return 0


def run(given: Arguments, loaded: Loaded, mode: Mode) -> TaskResults:
    """One evaluation with a progress bar on stderr."""
    engine = Engine(loaded.model, loaded.tokenizer, loaded.stop_ids)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("text only" if mode == "blind" else "with picture", total=None)
        return evaluate(
            engine,
            loaded.encoder,
            given.tasks,
            given.count,
            mode,
            level=given.level,
            batch=given.batch,
            progress=partial(_move, bar, task),
        )


def _move(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def accuracy_table(
    results: TaskResults, baseline: TaskResults | None = None, explained: bool = True
) -> Table:
    """Tasks as rows: accuracy with its 95 % interval, the baseline, and what the task asks if `explained`."""
    table = Table(Column("task", no_wrap=True), "accuracy", "95 %", "n")
    if baseline:
        table.add_column("text only")
    if explained:
        table.add_column("asks for", style="dim", no_wrap=True)
    for name, result in results.tasks.items():
        low, high = result.share.interval
        cells = [f"{result.share.accuracy:.1%}", f"{low:.0%} to {high:.0%}", str(result.share.total)]
        if baseline:
            cells.append(f"{baseline.tasks[name].share.accuracy:.1%}")
        table.add_row(name, *cells, *([TASKS[name]] if explained else []))
    table.add_section()
    means = [f"{results.mean():.1%}", "", ""]
    singles = [f"{results.single_picture_mean:.1%}", "", ""]
    if baseline:
        means.append(f"{baseline.mean():.1%}")
        singles.append(f"{baseline.single_picture_mean:.1%}")
    table.add_row("mean, one picture", *singles, style="bold")
    table.add_row("mean, all tasks", *means, style="bold")
    for column in table.columns[1 : len(means) + 1]:
        column.justify = "right"
    return table


def page(given: Arguments, loaded: Loaded, results: TaskResults, baseline: TaskResults | None) -> Report:
    """The report of one model."""
    name = loaded.family.name
    versions = {"tessera": tessera.__version__, "torch": torch.__version__, "device": given.device}
    settings = {"model": name, **versions, **results.settings, **loaded.card}
    return Report(f"Tessera: {name}", [StageResult(name, results)], baseline, settings)
