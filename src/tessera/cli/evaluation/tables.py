"""Tables of `tessera evaluate --on`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from tessera.cli.terminal.tables import figures_table
from tessera.evaluation.running.outcome import RunOutcome
from tessera.scoring.verdict import OVERALL

MOST_FIGURES = 12
"""Of a benchmark, below its headline; all are in result.json."""


def results_table(outcomes: Sequence[RunOutcome]) -> Table:
    """A line for each benchmark, and below it its other figures."""
    table = figures_table("benchmark", "metric", "score", "95 %", "n")
    for number in (2, 3, 4):
        table.columns[number].no_wrap = True
    for outcome in outcomes:
        benchmark = outcome.plan.benchmark
        name = f"{benchmark.name}, no pictures" if outcome.blind else benchmark.name
        asked = outcome.intervals.questions if outcome.intervals else 0
        metric = benchmark.metric or outcome.plan.rules.scorer["name"]
        table.add_row(name, metric, *cells(outcome, OVERALL), str(asked), style="bold")
        others = [figure for figure in outcome.figures if figure != OVERALL]
        for figure in others[:MOST_FIGURES]:
            table.add_row(f"  {figure}", "", *cells(outcome, figure), "")
        if len(others) > MOST_FIGURES:
            table.add_row(f"  and {len(others) - MOST_FIGURES} more in result.json", "", "", "", "")
        table.add_section()
    return table


def cells(outcome: RunOutcome, figure: str) -> tuple[str, str]:
    """A figure and its bounds."""
    value = outcome.figures.get(figure)
    if value is None:
        return "–", ""
    if outcome.intervals is None or figure not in outcome.intervals:
        return f"{value:.2f}", ""
    low, high = outcome.intervals[figure]
    return f"{value:.2f}", f"{low:.1f} to {high:.1f}"
