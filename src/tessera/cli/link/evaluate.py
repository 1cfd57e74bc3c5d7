"""`tessera link evaluate META --model MODEL`: how well masks fit, beside what would be had without states."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

import tessera
from tessera.cli.chat import LoadArguments
from tessera.cli.command import ReportingCommand
from tessera.evaluation.masked import MaskReport, measure_masks
from tessera.runtime.progress import progress_bars


@dataclass(frozen=True, kw_only=True)
class LinkEvaluateCommand(ReportingCommand):
    """Ask a model the questions of a manifest whose answers are masks, and measure them (docs/link.md)."""

    meta: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="META")]
    """A manifest of records with masks, such as `tessera link draw` writes."""
    model: str
    """Checkpoint folder of a model with link tokens."""
    count: int | None = None
    """Most questions; all by default."""
    loading: Annotated[LoadArguments, tyro.conf.arg(name="")] = LoadArguments()

    def run(self) -> int:
        self.at_least(count=1)
        model = tessera.load(self.model, **asdict(self.loading))
        with progress_bars() as bars:
            report = measure_masks(model, self.meta, self.count, bars)
        self.tell(lambda: asdict(report), lambda: _show(report))
        return 0


def _show(report: MaskReport) -> None:
    """A line for each who gave masks, and one for how many were to be found."""
    print(f"{report.questions} questions, as many masks as right ones in {report.counted_right:.1f} %")
    for name, figures in report.figures.items():
        print(f"{name}: {_in_words(figures)}")
    by_masks = ", ".join(f"{number}: {figure:.1f}" for number, figure in report.by_masks.items())
    print(f"gIoU by the number of right masks: {by_masks}")


def _in_words(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {figure:.1f}" for name, figure in figures.items())
