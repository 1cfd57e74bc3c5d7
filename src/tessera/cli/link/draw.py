"""`tessera link draw OUT`: drawn pictures with questions whose answers are masks, as training data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tessera.cli.command import Command
from tessera.playground.masks import write_masked
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted


@dataclass(frozen=True, kw_only=True)
class LinkDrawCommand(Command):
    """Write drawn pictures with questions whose answers are masks (docs/link.md)."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder to write to; made when it is missing."""
    count: int = 1000
    """Pictures, each with three to five questions."""
    seed: int = 0
    """Another seed gives other pictures."""
    level: int = 2
    """1 easy, 2 standard, 3 harder."""
    token: str = "[SEG]"
    """Link token that stands for a mask."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.out: True}

    def run(self) -> int:
        self.at_least(count=1)
        if self.level not in (1, 2, 3):
            raise ValueError(f"--level {self.level}: give 1 (easy), 2 (standard) or 3 (harder)")
        with progress_bars() as bars:
            meta = write_masked(self.out, self.count, self.seed, self.token, self.level, bars)
        print(f"{counted(self.count, 'picture')} in {self.out}")
        print(f"meta file: {meta}")
        return 0
