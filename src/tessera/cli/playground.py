"""`tessera playground OUT`: drawn pictures with known answers on disk, in InternVL's format.

The folder holds a meta file, one JSONL file per suite and the pictures: an example of what `tessera train`
takes as your own data, and something to train on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tessera.playground.scene import SUITES
from tessera.records.export import write_dataset


@dataclass(frozen=True)
class Arguments:
    """Write drawn pictures with questions and answers."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder to write to; made when it is missing."""
    count: int = 50
    """Records in all, shared evenly between the suites."""
    suite: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SUITE ...")] = SUITES
    """What to draw: shapes, text, chart, pair, clip."""
    questions: int = 4
    """Questions per record."""
    level: int = 2
    """1 easy, 2 standard, 3 harder."""
    side: int = 64
    """Side of the pictures in pixels."""
    seed: int = 0
    """Another seed gives other pictures."""


def main(argv: list[str]) -> int:
    """Write the dataset and say where it is."""
    given = tyro.cli(Arguments, args=argv, prog="tessera playground")
    written = write_dataset(
        given.out,
        dict.fromkeys(given.suite, 1.0),
        given.count,
        given.seed,
        (given.side, given.side),
        given.level,
        given.questions,
    )
    print(f"{written.records} records in {', '.join(str(path) for path in written.annotations)}")
    print(f"meta file: {written.meta}")
    return 0
