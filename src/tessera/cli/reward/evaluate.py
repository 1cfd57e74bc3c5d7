"""`tessera prm evaluate FILE --model PRM`: macro F1 on solutions whose steps people have labelled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from tessera.align.critics.benchmark import (
    BenchmarkFields,
    LabelledSolution,
    LabelledSteps,
    StepEvaluation,
    evaluate_steps,
)
from tessera.align.critics.items import RatedItem, read_items
from tessera.align.critics.journal import RatingJournal
from tessera.align.critics.rating import Rating, rate_items
from tessera.align.critics.responses import FIELD, rating_of, stamp
from tessera.cli.preference.sample import write_lines
from tessera.cli.reward.critic import RatingCommand
from tessera.cli.terminal.tables import Terminal, figures_table, say
from tessera.runtime.progress import progress_bars
from tessera.scoring.step_verdicts import StepCounts

SOFT, HARD = 0.5, -50.0
"""Thresholds where none is given: halfway between + and - in each way of judging."""
MOST_TOLD = 5


@dataclass(frozen=True, kw_only=True)
class PrmEvaluateCommand(RatingCommand):
    """Measure a process reward model on labelled steps, as VisualProcessBench does: F1 of right and of wrong.

    Exit code 1 when records were refused; some are named (docs/prm.md).
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """A JSONL file of solutions with labelled steps, such as VisualProcessBench's test.jsonl."""
    fields: Annotated[BenchmarkFields, tyro.conf.arg(name="")] = BenchmarkFields()
    threshold: float | None = None
    """A step is taken for right when its score exceeds this; 0.5, or what --tune finds."""
    tune: str | None = None
    """Choose the threshold on this part, which is left out: a share such as 0.2, or the name of a source."""
    seed: int = 0
    """Which solutions make up the share."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Write every solution with its scores there; an interrupted run then goes on where it ended."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.output: False} if self.output else {}

    def run(self) -> int:
        self.at_least(max_tiles=1)
        if self.threshold is not None and self.tune is not None:
            raise ValueError(f"--tune {self.tune} chooses the threshold; leave --threshold out")
        if self.rating.mode == "orm" or self.rating.early_stop:
            raise ValueError("steps are measured: leave --mode orm and --early-stop out")
        labelled = LabelledSteps(self.fields)
        ratings = list(self._ratings(labelled))
        refused = [rating["why"] for _, rating in ratings if "why" in rating]
        solutions = [
            LabelledSolution.of(
                item.line, labelled.sources[item.line], labelled.labels[item.line], rating["steps"]
            )
            for item, rating in ratings
            if "why" not in rating
        ]
        if refused and not solutions:
            more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            raise ValueError(f"{refused[0]}{more}")
        usual = HARD if self.rating.mode == "hard" else SOFT
        found = evaluate_steps(
            solutions, usual if self.threshold is None else self.threshold, self.tune, self.seed
        )
        if self.threshold is None and self.tune is None:
            found = replace(found, how="the middle, since none was given")
        values = {"refused": len(refused), "first": refused[:MOST_TOLD]}
        self.tell(lambda: found.as_json() | values, lambda: show(found, refused))
        return int(bool(refused))

    def _ratings(self, labelled: LabelledSteps) -> Iterator[tuple[RatedItem, Rating]]:
        critic = self.critic()
        about, media = self.about(critic), self.media_root or self.file.parent
        kept = None if self.output is None else self.output.with_name(f"{self.output.name}.ratings")
        with progress_bars() as bars, RatingJournal(kept, about | stamp(self.file)) as journal:
            items = list(read_items(self.file, labelled.read))
            ratings = list(rate_items(items, critic, journal, media, self.max_tiles, len(items), bars))
        if self.output is not None and kept is not None:
            write_lines(self.output, (_scored(item, rating, about, labelled) for item, rating in ratings))
            kept.unlink()
        return iter(ratings)


def _scored(
    item: RatedItem, rating: Rating, about: dict[str, Any], labelled: LabelledSteps
) -> dict[str, Any]:
    """A line of the output."""
    if "why" in rating:
        return {"line": item.line, "why": rating["why"]}
    said = {"line": item.line, "source": labelled.sources[item.line], "labels": labelled.labels[item.line]}
    return said | {FIELD: rating_of(item, rating) | about}


def show(found: StepEvaluation, refused: list[str]) -> None:
    """A row for each source and for all steps, the threshold, and what was refused."""
    console = Terminal()
    table = figures_table("source", "steps", "wrong", "F1 right", "F1 wrong", "macro F1")
    for name, counts in {**found.sources, "all": found.pooled}.items():
        table.add_row(name, *_cells(counts))
    console.print(table)
    say(console, f"threshold {found.threshold:.4g} ({found.how}); {found.neutral:,} neutral steps left out")
    for why in refused[:MOST_TOLD]:
        say(console, f"refused: {why}", style="red")
    if len(refused) > MOST_TOLD:
        say(console, f"and {len(refused) - MOST_TOLD:,} more", style="red")


def _cells(counts: StepCounts) -> list[str]:
    figures = (counts.f1_right, counts.f1_wrong, counts.macro_f1)
    return [f"{counts.steps:,}", f"{counts.wrong:,}", *(f"{100 * figure:.1f}" for figure in figures)]
