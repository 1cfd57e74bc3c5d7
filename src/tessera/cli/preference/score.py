"""`tessera prefer score RESPONSES.jsonl -o SCORED.jsonl`: right, wrong, or without an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tessera.align.preferences.scoring_run import ScoreReport, refused_beside, score_file
from tessera.cli.command import ReportingCommand
from tessera.cli.terminal.tables import Terminal, counts_table, say
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted, shown
from tessera.scoring.reasoned.datasets import modes_for
from tessera.scoring.reasoned.judging import THRESHOLD, AnswerJudge, available


@dataclass(frozen=True, kw_only=True)
class ScoreCommand(ReportingCommand):
    """Find the answer of every response and judge it by the modes of its data set (docs/prefer.md).

    Exit code 1 when lines were refused; they stand in SCORED.refused.jsonl with their reasons.
    """

    responses: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RESPONSES")]
    """A JSONL file with question, answer, response and prompt_version a line, and image if there is one."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where the same lines go, each with its verdict."""
    dataset: str | None = None
    """Whose modes are used, as chartqa or docvqa; by default what the file's name tells."""
    modes: tuple[str, ...] = ()
    """Use these modes: vqa, relaxed, anls, mc, math, latex, expression, math_verify."""
    threshold: float = THRESHOLD
    """What the best mode must exceed, from 0 to below 1."""
    prompt_version: str | None = None
    """Version of lines that name none: en, zh, en_v2, zh_v2, en_v2_mc, en_r1 or zh_r1."""
    as_published: bool = False
    """Repeat the faults of the published script, to compare with its data."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.output: False, refused_beside(self.output): False}

    def run(self) -> int:
        modes = self.modes or available(modes_for(self.dataset or self.responses.name))
        judge = AnswerJudge(modes, self.threshold, self.as_published)
        with progress_bars() as bars:
            report = score_file(self.responses, self.output, judge, self.prompt_version, bars)
        facts = {"modes": modes, "output": self.output, "refused_file": self._refused(report)}
        self.tell(lambda: report.as_json() | facts, lambda: self.show(report, judge))
        return int(bool(report.refused))

    def show(self, report: ScoreReport, judge: AnswerJudge) -> None:
        """Counts by verdict and by reason, and what to do next."""
        console = Terminal()
        rows = {kind: [count] for kind, count in report.kinds.items()} | {
            "refused": [sum(report.refused.values())]
        }
        console.print(counts_table("responses", [self.responses.name], rows | {"lines": [report.lines]}))
        for title, counts in (("right by", report.modes), ("no answer", report.formats)):
            say(console, *(f"{title:<10}{count:>9,}  {name}" for name, count in counts.items()))
        for name, count in report.refused.items():
            say(console, f"refused   {count:>9,}  {name}", style="red")
        say(console, *report.first, style="red")
        say(console, f"modes: {', '.join(judge.modes)}; above {judge.threshold:g}")
        if report.refused:
            total = counted(sum(report.refused.values()), "refused line")
            say(console, f"{shown(self._refused(report))}: {total} with reasons")
        say(
            console,
            f"{shown(self.output)}: pair them with: tessera prefer pair {shown(self.output)} -o pairs",
        )

    def _refused(self, report: ScoreReport) -> Path | None:
        return refused_beside(self.output) if report.refused else None
