"""Where the lines of a file begin: found once, kept in the cache, memory-mapped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tessera.records.files.cache import cached_folder, file_stamp

BLOCK = 1 << 22
"""Bytes read at a time."""
_BLANK = np.isin(np.arange(256), np.frombuffer(b" \t\r\n\x0b\x0c", dtype=np.uint8))


def line_offsets(file: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Byte offset and number (from 1) of every line that is not blank: int64 [N] each, memory-mapped.

    Memory doesn't grow with the file; a second call opens in a moment while the file stays unchanged.
    """
    folder = cached_folder("lines", file_stamp(file), lambda fresh: _write(file, fresh))
    return _map(folder / "offsets"), _map(folder / "lines")


def _map(file: Path) -> NDArray[np.int64]:
    # An empty file can't be mapped.
    return np.memmap(file, np.int64, mode="r") if file.stat().st_size else np.zeros(0, dtype=np.int64)


def _write(file: Path, folder: Path) -> None:
    with (folder / "offsets").open("wb") as offsets, (folder / "lines").open("wb") as lines:
        for starts, numbers in _full_lines(file):
            starts.tofile(offsets)
            numbers.tofile(lines)


def _full_lines(file: Path) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Starts and numbers of the lines that are not blank, a block of the file at a time."""
    position = start = 0
    number, written = 1, False  # of the line that the block begins in: has it shown more than white space?
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            data = np.frombuffer(block, dtype=np.uint8)
            ends = np.flatnonzero(data == ord("\n"))
            shown = np.cumsum(~_BLANK[data])
            full = np.diff(shown[ends], prepend=0) > 0
            starts = np.concatenate([[start], position + ends + 1]).astype(np.int64)
            rest = bool(shown[-1] > (shown[ends[-1]] if len(ends) else 0))
            if len(ends):
                # The first line of a block may have shown its text in the block before.
                full[0] |= written
            written = rest or (written and not len(ends))
            yield starts[:-1][full], (number + np.flatnonzero(full)).astype(np.int64)
            position, start, number = position + len(data), int(starts[-1]), number + len(ends)
    # The last line may end without a line break.
    if written:
        yield np.array([start], dtype=np.int64), np.array([number], dtype=np.int64)
