"""`tessera evaluate --compare A B`: two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from tessera.cli.terminal.tables import Terminal, figures_table
from tessera.evaluation.comparing.comparison import FolderComparison, RunComparison, compare_folders
from tessera.evaluation.comparing.comparison_page import FIGURE_HEAD, comparison_page, figure_cells
from tessera.evaluation.comparing.stored import StoredResult
from tessera.pages.page import write_page
from tessera.runtime.shown import shown
from tessera.scoring.registry import aggregate
from tessera.scoring.verdict import OVERALL, Aggregate

if TYPE_CHECKING:
    from tessera.cli.evaluation.command import EvaluateCommand

MOST_FIGURES = 12


def compare_runs_of(command: EvaluateCommand) -> int:
    """Tell the differences; a page for each benchmark where --out asks for one."""
    if len(command.compare) != 2:
        raise ValueError(f"--compare: {len(command.compare)} folders; give those of two runs")
    one, two = command.compare
    compared = compare_folders(one, two, aggregate_of)
    pages = _pages(command.out, compared)
    command.tell(lambda: compared.as_json() | {"pages": pages}, lambda: _show(compared, pages))
    return 0


def aggregate_of(result: StoredResult) -> Aggregate:
    """The aggregate of a run. ValueError where the run doesn't say."""
    told = dict(result.settings.get("aggregate") or {})
    name = told.pop("name", None)
    if name is None:
        raise ValueError(f"run of {shown(result.benchmark)}: settings.aggregate is missing; run it again")
    return aggregate(name, told)


def _pages(out: Path | None, compared: FolderComparison) -> list[Path]:
    """One page, or one a benchmark with its name in the file's."""
    if out is None:
        return []
    written = []
    for name, run in compared.runs.items():
        file = out if len(compared.runs) == 1 else out.with_name(f"{out.stem}_{name}{out.suffix}")
        write_page(file, comparison_page(run))
        written.append(file)
    return written


def _show(compared: FolderComparison, pages: list[Path]) -> None:
    Terminal().print(_table(compared))
    for name, run in compared.runs.items():
        counts = run.counts()[OVERALL]
        flips = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"
        print(f"{name}: {run.questions} questions in both; flipped: {flips}")
        for told in run.unmatched.told():
            print(f"{name}: {told}")
        if run.by_words:
            print(f"{name}: questions were matched by their words, the runs number them differently")
        for setting, values in run.settings.items():
            print(f"{name}: {setting}: {' -> '.join(shown(value, 40, bare=True) for value in values)}")
    for which, names in (("first", compared.only_one), ("second", compared.only_two)):
        if names:
            print(f"in the {which} run alone: {', '.join(names)}")
    print(
        "\n".join(f"page: {page}" for page in pages) or "a page with the flipped questions: --out page.html"
    )


def _table(compared: FolderComparison) -> Table:
    """A line for each headline, and below it the other figures; how p was found is on the page."""
    table = figures_table("benchmark", *FIGURE_HEAD[1:-1])
    table.columns[0].no_wrap, table.columns[0].overflow = False, "fold"
    for name, run in compared.runs.items():
        headline, *others = _first_figures(run)
        table.add_row(name, *figure_cells(run.figures[headline])[:-1], style="bold")
        for figure in others:
            table.add_row(f"  {figure}", *figure_cells(run.figures[figure])[:-1])
        if len(run.figures) > 1 + len(others):
            table.add_row(f"  and {len(run.figures) - 1 - len(others)} more with --out or --json")
        table.add_section()
    return table


def _first_figures(run: RunComparison) -> list[str]:
    """The headline, then the others up to a number."""
    return sorted(run.figures, key=lambda figure: figure != OVERALL)[: 1 + MOST_FIGURES]
