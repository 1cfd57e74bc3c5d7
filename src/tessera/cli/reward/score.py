"""`tessera prm score RESPONSES.jsonl -o SCORED.jsonl --model PRM`: a score for each step, and one for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tessera.align.critics.responses import RatingReport, score_responses
from tessera.align.preferences.scoring_run import refused_beside
from tessera.cli.reward.critic import RatingCommand
from tessera.cli.terminal.tables import Terminal, counts_table, say
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted, shown


@dataclass(frozen=True, kw_only=True)
class PrmScoreCommand(RatingCommand):
    """Rate responses step by step. The same command goes on at the question where it ended (docs/prm.md).

    Exit code 1 when lines were refused; they stand in SCORED.refused.jsonl with their reasons.
    """

    responses: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RESPONSES")]
    """A JSONL file with question and response a line, and image if there is one."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where the same lines go, each with `prm`: its score and those of its steps."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.output: False, refused_beside(self.output): False}

    def run(self) -> int:
        self.at_least(max_tiles=1)
        critic = self.critic()
        media = self.media_root or self.responses.parent
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with progress_bars() as bars:
            report = score_responses(
                self.responses, self.output, critic, media, self.about(critic), self.max_tiles, bars
            )
        values = {"output": self.output}
        self.tell(lambda: report.as_json() | values, lambda: show(report, self.output))
        return int(bool(report.refused))


def show(report: RatingReport, output: Path) -> None:
    """Counts, the mean, and what was refused."""
    console = Terminal()
    rows = {
        "rated": [report.rated],
        "of one step": [report.single],
        "steps": [report.steps],
        "refused": [report.refused],
        "lines": [report.lines],
    }
    console.print(counts_table("", ["count"], rows))
    if report.mean is not None:
        say(console, f"mean score {report.mean:.4g}")
    if report.refused:
        say(
            console,
            f"{shown(refused_beside(output))}: {counted(report.refused, 'refused line')}",
            style="red",
        )
    say(console, *report.first, style="red")
