"""`tessera demo`: train the scale model through three stages, measure every stage, show what it learned."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

import tessera
from tessera.cli.command import ReportingCommand
from tessera.cli.terminal.tables import Terminal, figures_table, say
from tessera.cli.training.train import follow, hold, prepare, say_stopped
from tessera.evaluation.report import report_page
from tessera.pages.page import write_page
from tessera.playground.scene import SINGLE_PICTURE_TASKS
from tessera.recipes.scale_model.demo import Demo
from tessera.recipes.shelf import load_recipe
from tessera.runtime.progress import progress_bars


@dataclass(frozen=True, kw_only=True)
class DemoCommand(ReportingCommand):
    """Train the scale model through the recipe of InternVL 2.5 and measure every stage."""

    out: Path = Path("runs/demo")
    """Folder of the run; an interrupted demo goes on there."""
    recipe: str = "scale_model/internvl_2_5"
    """The recipe: a name of `tessera recipes`, or a file."""
    count: int = 60
    """Held-out questions per task."""

    def run(self) -> int:
        began = perf_counter()
        console = Terminal(stderr=self.json)
        with hold(self.out), progress_bars(keep=True) as bars:
            demo = Demo(self.count, bars, lambda line: say(console, line))
            trainer = prepare(load_recipe(self.recipe), self.out, bars, console, demo.after_stage)
            follow(trainer, demo.run(trainer), bars, console)
        if trainer.stopped:
            return say_stopped(trainer, console)
        console.print(accuracy_table(demo))
        page = self.out / "report.html"
        write_page(page, report_page(demo.report({"tessera": tessera.__version__})))
        say(console, f"report with pictures and curves: {page}")
        show_new_picture(demo, console)
        say(console, f"{(perf_counter() - began) / 60:.1f} minutes")
        self.tell(demo.summary, lambda: None)
        return 0


def accuracy_table(demo: Demo) -> Table:
    """Accuracy per task and stage, then speed and pack fill."""
    names = [stage.name for stage in demo.trainer.recipe.stages]
    grid = figures_table("task", "text only", *names, title="held-out accuracy")
    columns = [demo.baseline, *demo.results.values()]
    for name in demo.baseline.tasks:
        grid.add_row(name, *(f"{column.tasks[name].share.accuracy:.0%}" for column in columns))
    grid.add_section()
    means = [f"{column.mean(SINGLE_PICTURE_TASKS):.1%}" for column in columns]
    grid.add_row("mean, one picture", *means, style="bold")
    stages = [demo.figures.get(name) for name in names]
    grid.add_row("trained, tokens/s", "", *(f"{s['tokens_per_second']:,.0f}" if s else "" for s in stages))
    grid.add_row("pack fill", "", *(f"{s['token_fill']:.1%}" if s else "" for s in stages))
    return grid


def show_new_picture(demo: Demo, console: Console) -> None:
    """Some questions about a picture that was not in training, with the model's answers."""
    file, answered = demo.new_picture()
    table = Table("question", "answer", "right answer", title=f"{file}, not seen in training")
    for row in answered:
        table.add_row(*row)
    console.print(table)
    say(console, f'ask it yourself: tessera chat {file} "{answered[0][0]}" --model {demo.last_folder}')
