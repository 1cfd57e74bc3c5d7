"""`tessera prefer pair SCORED.jsonl -o FOLDER`: pairs in MMPR's form, and a page about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tessera.align.preferences.pairing_run import PairReport, PairSettings, pair_file
from tessera.cli.command import ReportingCommand
from tessera.cli.terminal.tables import Terminal, counts_table, say
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted, shown


@dataclass(frozen=True, kw_only=True)
class PairCommand(ReportingCommand):
    """Pair the right responses of each question with its wrong ones, and with those without an answer.

    Exit code 1 when lines were refused, or when there are no pairs; FOLDER says why (docs/prefer.md).
    """

    scored: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCORED")]
    """What `tessera prefer score` wrote."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the pairs, the page, and what was left out."""
    settings: Annotated[PairSettings, tyro.conf.arg(name="")] = PairSettings()

    def targets(self) -> Mapping[Path, bool]:
        return {self.output: True}

    def run(self) -> int:
        with progress_bars() as bars:
            report = pair_file(self.scored, self.output, self.settings, bars)
        self.tell(report.as_json, lambda: show(report, self.output))
        return int(bool(report.refused) or not report.pairs.total())


def show(report: PairReport, folder: Path) -> None:
    """Counts of pairs, of what was left out, and where to look."""
    console = Terminal()
    rows = {f"pairs by {rule}": [count] for rule, count in report.pairs.items()}
    rows |= {kind: [count] for kind, count in report.kinds.items()}
    rows |= {"questions": [report.questions], "questions with pairs": [report.paired]}
    console.print(counts_table("", ["count"], rows | {"lines": [report.lines]}))
    say(console, *(f"left out {count:>9,}  {why}" for why, count in report.left_out.most_common()))
    say(
        console, *(f"refused  {count:>9,}  {why}" for why, count in report.refused.most_common()), style="red"
    )
    say(console, *report.first, style="red")
    say(console, f"at most {counted(report.most, 'pair')} of a question and rule")
    say(console, f"written to {shown(folder)}: {', '.join(file.name for file in report.files)}")
