"""`tessera playground OUT`: drawn pictures with known answers on disk, in InternVL's format.

The folder holds a meta file, one JSONL file per suite and the pictures: an example of what `tessera train`
takes as your own data, and something to train on. With `--benchmarks` it holds small benchmarks instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tessera.cli.command import Command
from tessera.evaluation.drawn.benchmarks import write_benchmarks
from tessera.playground.scene import SUITES
from tessera.records.export import write_dataset
from tessera.runtime.shown import counted


@dataclass(frozen=True, kw_only=True)
class PlaygroundCommand(Command):
    """Write drawn pictures with questions and answers."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder to write to; made when it is missing."""
    count: int = 50
    """Records in all, shared evenly between the suites."""
    suite: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SUITE ...")] = SUITES
    """What to draw: shapes, text, chart, pair, clip; new to the shipped model: clock, reasoning."""
    questions: int = 4
    """Questions per record."""
    level: int = 2
    """1 easy, 2 standard, 3 harder."""
    side: int = 64
    """Side of the pictures in pixels."""
    seed: int = 0
    """Another seed gives other pictures."""
    benchmarks: int = 0
    """So many held-out questions each in the files of ChartQA, DocVQA, MMBench, RefCOCO, POPE, OCRBench,
    MVBench and MME instead, for `tessera evaluate --on OUT/chartqa.yaml ...`."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.out: True}

    def run(self) -> int:
        if self.benchmarks:
            for declared in write_benchmarks(self.out, self.benchmarks):
                print(declared)
            return 0
        mix, size = dict.fromkeys(self.suite, 1.0), (self.side, self.side)
        written = write_dataset(self.out, mix, self.count, self.seed, size, self.level, self.questions)
        print(f"{counted(written.records, 'record')} in {', '.join(map(str, written.annotations))}")
        print(f"meta file: {written.meta}")
        return 0
