"""`tessera evaluate`: accuracy on held-out playground tasks, as a table, as JSON, as a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.table import Table

import tessera
from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.command import ReportingCommand
from tessera.cli.terminal.tables import Terminal, figures_table
from tessera.engine.engine import Engine
from tessera.evaluation.report import Report, StageResult, report_page
from tessera.evaluation.runner import TaskResults, evaluate
from tessera.pages.page import write_page
from tessera.playground.scene import ALL_TASKS, SINGLE_PICTURE_TASKS
from tessera.playground.talk import Mode
from tessera.runtime.device import choose_device, choose_dtype
from tessera.runtime.progress import progress_bars

WIDE = 110
"""Columns of a terminal in which the table has room to say what a task asks for."""


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(ReportingCommand):
    """Measure a model on held-out questions about drawn pictures and clips."""

    model: str | None = None
    """Checkpoint folder, or a model's name; the shipped scale model by default."""
    adapter: Path | None = None
    """Folder of a LoRA adapter, as PEFT saves it, to merge into the model."""
    count: int = 200
    """Questions per task."""
    tasks: tuple[str, ...] = ()
    """Tasks to run, also `clock` and `reason`; those of the shipped mixture by default."""
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
    out: Path | None = None
    """Write a report page (HTML) here."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.out: False} if self.out else {}

    def run(self) -> int:
        device = choose_device(self.device)
        folder, adapter = find_with_adapter(self.model or shipped_folder(), self.adapter)
        loaded = load_checkpoint(folder, device, choose_dtype(self.dtype, device), adapter=adapter)
        results = self.measure(loaded, "picture")
        baseline = self.measure(loaded, "blind") if self.blind else None
        if self.out:
            write_page(self.out, report_page(page(self.device, loaded, results, baseline)))
        self.tell(
            lambda: {"picture": results.summary(), "blind": baseline.summary() if baseline else None},
            lambda: self.show(results, baseline),
        )
        return 0

    def measure(self, loaded: Loaded, mode: Mode) -> TaskResults:
        """One evaluation."""
        label = "text only" if mode == "blind" else "with picture"
        with progress_bars() as bars:
            return evaluate(
                Engine.of(loaded),
                loaded.encoder,
                self.tasks,
                self.count,
                mode,
                level=self.level,
                batch=self.batch,
                progress=lambda _, done, total: bars(label, done, total),
            )

    def show(self, results: TaskResults, baseline: TaskResults | None) -> None:
        """The table, the speed, and where the page is."""
        console = Terminal()
        console.print(accuracy_table(results, baseline, explained=console.width >= WIDE))
        print(f"{results.tokens_per_second:,.0f} tokens/s (prompts and answers)")
        print(f"report: {self.out}" if self.out else "a page with pictures: --out report.html")


def accuracy_table(
    results: TaskResults, baseline: TaskResults | None = None, explained: bool = True
) -> Table:
    """Tasks as rows: accuracy with its 95 % interval, the baseline, and what the task asks if `explained`."""
    table = figures_table("task", "accuracy", "95 %", "n", *(["text only"] if baseline else []))
    if explained:
        table.add_column("asks for", style="dim", no_wrap=True)
    others = [baseline] if baseline else []
    for name, result in results.tasks.items():
        low, high = result.share.interval
        cells = [f"{result.share.accuracy:.1%}", f"{low:.0%} to {high:.0%}", str(result.share.total)]
        cells += [f"{other.tasks[name].share.accuracy:.1%}" for other in others]
        table.add_row(name, *cells, *([ALL_TASKS[name]] if explained else []))
    table.add_section()
    means = {"mean, one picture": SINGLE_PICTURE_TASKS, "mean, all tasks": tuple(results.tasks)}
    for line, tasks in means.items():
        if set(tasks) & set(results.tasks):
            first, *rest = [f"{side.mean(tasks):.1%}" for side in (results, *others)]
            table.add_row(line, first, "", "", *rest, style="bold")
    return table


def page(device: str, loaded: Loaded, results: TaskResults, baseline: TaskResults | None) -> Report:
    """The report of one model."""
    name = loaded.family.name
    versions = {"tessera": tessera.__version__, "torch": torch.__version__, "device": device}
    settings = {"model": name, **versions, **results.settings, **loaded.card}
    return Report(f"Tessera: {name}", [StageResult(name, results)], baseline, settings)
