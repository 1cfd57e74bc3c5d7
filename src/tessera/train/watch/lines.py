"""Files of a run that grow by a JSON line a step, and are cut back when the run goes on from before."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from tessera.runtime.config import first_fault
from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown


class OfStep(Protocol):
    """What a line says of one step; a frozen dataclass."""

    @property
    def stage_index(self) -> int: ...

    @property
    def step(self) -> int: ...


Line = TypeVar("Line", bound=OfStep)


class StepFile(Generic[Line]):
    """A line a step, written at once, so that a running job can be watched; null for what is no number.

    On resume, lines from stage and step `keep_until` on are cut off: the run will write them again.
    ValueError when the disk refuses.
    """

    def __init__(self, file: Path, kind: type[Line], keep_until: tuple[int, int] = (0, 0)) -> None:
        self._file, self._form = file, TypeAdapter(kind)
        kept = 0
        for line, end in _lines(file, kind):
            if (line.stage_index, line.step) >= keep_until:
                break
            kept = end
        self._stream: IO[bytes] | None = None
        if file.is_file():
            with disk_faults(file):
                self._stream = file.open("ab")
                # In one step: a crash while lines were copied would lose them all.
                self._stream.truncate(kept)

    def write(self, line: Line) -> None:
        """Append a line."""
        with disk_faults(self._file):
            if self._stream is None:  # a file that nothing is told in is not made
                self._stream = self._file.open("ab")
            self._stream.write(self._form.dump_json(line) + b"\n")
            self._stream.flush()

    def sync(self) -> None:
        """Put the lines on the disk, before a state that stands behind them."""
        if self._stream is not None and self._file.is_file():
            with disk_faults(self._file):
                os.fsync(self._stream.fileno())

    def close(self) -> None:
        """No more lines."""
        if self._stream is not None:
            self._stream.close()


def read_lines(file: Path, kind: type[Line]) -> Iterator[Line]:
    """The lines of a file, none where there is no file. ValueError for one that is no `kind`.

    One cut off at the end by a crash is skipped: the run will write it again.
    """
    return (line for line, _ in _lines(file, kind))


def _lines(file: Path, kind: type[Line]) -> Iterator[tuple[Line, int]]:
    """Every line with the byte behind it."""
    adapter = TypeAdapter(kind)
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    end = 0
    for number, line in enumerate(lines, 1):
        # Without its end it is the last, torn; behind a loss of power there may be zeros.
        if number == len(lines) and not (line.endswith(b"\n") and line.strip(b"\0\n")):
            return
        end += len(line)
        try:
            read = adapter.validate_json(line)
        except ValidationError as error:
            raise ValueError(
                f"{shown(file)}:{number} is no report of a step ({first_fault(error)}); restore or remove "
                "the file"
            ) from None
        yield read, end
