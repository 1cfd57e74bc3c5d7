"""Lines in and lines out: every line of the input is either used or kept beside with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from tessera.records.faults import DataError
from tessera.records.readers.json_file import JsonFile
from tessera.records.writing import json_line
from tessera.runtime.progress import Progress
from tessera.runtime.shown import shown

T = TypeVar("T")
MOST_TOLD = 5
"""Refused lines that a summary names; all of them are in the file."""


def open_lines(file: Path) -> JsonFile:
    """The lines of a file. ValueError for one that is missing, empty, or no JSONL."""
    if not file.is_file():
        raise ValueError(f"{shown(file)}: no such file; name a JSONL file with one response a line")
    lines = JsonFile(file)
    if not len(lines):
        raise ValueError(f"{shown(file)}: holds no line; write one response a line")
    return lines


class RefusedLines:
    """Counts the lines that are refused, and writes each with its reason to a stream, if there is one."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream
        self.reasons: Counter[str] = Counter()
        self.first: list[str] = []

    def add(self, lines: JsonFile, index: int, error: DataError) -> None:
        """One more line, by the first of its faults."""
        fault = error.faults[0]
        self.reasons[f"{fault.field}: {fault.reason}"] += 1
        if len(self.first) < MOST_TOLD:
            self.first.append(str(fault))
        if self._stream is not None:
            text = lines.raw(index).decode("utf-8", "backslashreplace").rstrip("\r\n")
            told = {"line": fault.line, "field": fault.field, "why": str(fault), "text": text}
            self._stream.write(json_line(told))


def readable(
    lines: JsonFile,
    read: Callable[[object, Path, int], T],
    refused: RefusedLines,
    progress: Progress,
    what: str,
) -> Iterator[tuple[int, T]]:
    """Number and value of every line that `read` takes; the others go to `refused`."""
    for index in range(len(lines)):
        progress(what, index, len(lines))
        try:
            yield index, read(lines.record(index), Path(lines.file), lines.line(index))
        except DataError as error:
            refused.add(lines, index, error)
    progress(what, len(lines), len(lines))
