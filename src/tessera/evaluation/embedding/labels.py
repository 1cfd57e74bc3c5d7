"""Names of classes: from the command line, from a file, or from the names of folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tessera.engine.embedding.classes import check_names
from tessera.engine.embedding.lines import lines_of
from tessera.runtime.shown import shown


@dataclass(frozen=True)
class Labels:
    """Names of classes as the prompts say them, and of their folders, in the same order."""

    names: tuple[str, ...]
    folders: tuple[str, ...]


def read_labels(given: Sequence[str]) -> Labels:
    """Words (one with commas is several), or one file: a class a line, if need be behind folder and tab.

    Raises ValueError for fewer than two classes, an empty one, and one that is given twice.
    """
    if len(given) == 1 and Path(given[0]).is_file():
        lines = [line for line in lines_of(Path(given[0])) if line.strip()]
    elif len(given) == 1 and "," in given[0]:
        lines = [part.strip() for part in given[0].split(",")]
    else:
        lines = list(given)
    pairs = [line.split("\t", 1) if "\t" in line else (line, line) for line in lines]
    folders, names = ([pair[side].strip() for pair in pairs] for side in (0, 1))
    check_names(names)
    check_names(folders)
    if len(names) == 1:
        what = "one class, or a file that is not there; give at least two classes"
        raise ValueError(f"labels: {shown(given[0])} is {what}")
    return Labels(tuple(names), tuple(folders))
