"""A JSON file that holds an array of records, or one record a line: elements are found by their byte offset.

The array is scanned once, a block at a time, and never parsed as a whole; what the scan found is kept in the
cache and memory-mapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tessera.records.faults import Reason
from tessera.records.files.cache import cached_folder, file_stamp
from tessera.records.files.places import Location
from tessera.records.files.remote import local_copy
from tessera.records.readers.container import BYTE_ORDER_MARK, Container, Numbered, fault, parse_json
from tessera.records.readers.jsonl import JsonLines
from tessera.records.record import MOST_BYTES

Indices = NDArray[np.int64]
BLOCK = 1 << 20
"""Bytes scanned at a time."""
_BACKSLASH, _QUOTE, _OPEN, _CLOSE, _COMMA = range(1, 6)
_KINDS = np.zeros(256, dtype=np.uint8)
for _kind, _characters in enumerate((b"\\", b'"', b"[{", b"]}", b","), start=1):
    _KINDS[list(_characters)] = _kind
_SHOWN = ~np.isin(np.arange(256), list(b" \t\r\n"))


def open_json(file: Location) -> Container:
    """An array or, where the file begins with an object, lines. ValueError when it begins with neither."""
    with local_copy(file).open("rb") as stream:
        head = stream.read(1 << 16).removeprefix(BYTE_ORDER_MARK).lstrip()
    if head[:1] == b"{":
        return JsonLines(file)
    if head[:1] not in (b"[", b""):
        raise ValueError(f"{file}: begins with {head[:1]!r}; give an array of records, or one object a line")
    return JsonArray(file)


class JsonArray(Numbered):
    """Elements of one array. A remote file is copied into the cache first."""

    def __init__(self, file: Location) -> None:
        self.file = file
        self._local = local_copy(file)

    @cached_property
    def _bounds(self) -> NDArray[np.int64]:
        """First byte and end of every element: int64 [N, 2], memory-mapped."""
        folder = cached_folder("array", self.stamp(), self._scan)
        table = folder / "bounds"
        size = table.stat().st_size
        return np.memmap(table, np.int64, mode="r").reshape(-1, 2) if size else np.zeros((0, 2), np.int64)

    def __len__(self) -> int:
        return len(self._bounds)

    def record(self, index: int) -> object:
        """The parsed element. DataError when it is none."""
        start, end = map(int, self._bounds[index])
        if end - start > MOST_BYTES:
            raise fault(self.file, index + 1, Reason.LONG_RECORD, f"{end - start} bytes")
        with self._local.open("rb") as stream:
            stream.seek(start)
            return parse_json(stream.read(end - start), self.file, index + 1)

    def stamp(self) -> str:
        """Path, size and time of change."""
        return file_stamp(self._local)

    def _scan(self, folder: Path) -> None:
        with self._local.open("rb") as stream, (folder / "bounds").open("wb") as table:
            for bounds in element_bounds(stream):
                bounds.tofile(table)


def element_bounds(stream: IO[bytes]) -> Iterator[NDArray[np.int64]]:
    """Bounds of the elements of the array that a stream holds: int64 [n, 2] for each block.

    Elements end at commas outside texts and inner brackets, and at the array's own bracket; a file that ends
    before it gives what it has, and its last element will not parse. What follows the array is left out.
    """
    scan = _Scan()
    while (block := stream.read(BLOCK)) and not scan.closed:
        yield scan.feed(np.frombuffer(block, dtype=np.uint8))
    yield scan.finish()


class _Scan:
    """State between blocks: depth of brackets, in a text or not, a trailing backslash, element under way."""

    def __init__(self) -> None:
        self.closed = False
        self._position = self._depth = 0
        self._in_text = self._escaping = False
        self._start: int | None = None
        self._written = False

    def feed(self, data: NDArray[np.uint8]) -> Indices:
        """Bounds of the elements that end in this block."""
        kinds = _KINDS[data]
        at = np.flatnonzero(kinds)  # few bytes matter; the rest is not looked at again
        kinds = kinds[at]
        inside = self._texts(at, kinds, len(data))
        opens, closes = (kinds == _OPEN) & ~inside, (kinds == _CLOSE) & ~inside
        depth = self._depth + np.cumsum(opens.astype(np.int64) - closes)
        ends = ((kinds == _COMMA) & ~inside & (depth == 1)) | (closes & (depth == 0))
        bounds = self._elements(data, at[opens & (depth == 1)], at[ends], depth[ends])
        self._position += len(data)
        self._depth = int(depth[-1]) if len(depth) else self._depth
        return bounds

    def finish(self) -> NDArray[np.int64]:
        """The element that no bracket closed."""
        whole = self.closed or self._start is None or not self._written
        return _table([] if whole else [(self._start or 0, self._position)])

    def _texts(self, at: Indices, kinds: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
        """Which of the bytes that matter lie inside a text, its first quote included: bool [n]."""
        backslash, numbers = kinds == _BACKSLASH, np.arange(len(at))
        follows = np.zeros(len(at), dtype=np.bool_)  # directly behind a backslash
        follows[1:] = backslash[:-1] & (np.diff(at) == 1)
        begin = np.maximum.accumulate(np.where(backslash & ~follows, numbers, 0))
        run = numbers - begin + 1  # backslashes up to each backslash
        if self._escaping and len(at) and at[0] == 0:  # the block before ended within an odd run
            follows[0] = True
            run[begin == 0] += 1
        odd = backslash & (run % 2 == 1)
        escaped = follows & np.concatenate([[self._escaping], odd])[:-1]
        quotes = (kinds == _QUOTE) & ~escaped
        inside = (np.cumsum(quotes) + self._in_text) % 2 == 1
        self._in_text = bool(inside[-1]) if len(at) else self._in_text
        self._escaping = bool(len(at) and at[-1] == size - 1 and odd[-1])
        return np.asarray(inside, dtype=np.bool_)

    def _elements(
        self, data: NDArray[np.uint8], opened: Indices, ends: Indices, depth: Indices
    ) -> NDArray[np.int64]:
        """Bounds from the array's bracket or the comma before to the comma or bracket behind."""
        first = 0
        if self._start is None:
            if not len(opened):
                return _table([])
            first = int(opened[0]) + 1
            self._start = self._position + first
        ends, depth = ends[ends >= first], depth[ends >= first]
        closing = np.flatnonzero(depth == 0)
        if len(closing):
            ends, self.closed = ends[: closing[0] + 1], True
        shown = np.concatenate([[0], np.cumsum(_SHOWN[data])])
        starts = np.concatenate([[first], ends + 1])
        written = shown[np.concatenate([ends, [len(data)]])] > shown[starts]
        written[0] |= self._written
        self._written = bool(written[-1])
        begin = np.concatenate([[self._start], self._position + ends[:-1] + 1]) if len(ends) else ends
        if len(ends):
            self._start = self._position + int(ends[-1]) + 1
        table = np.stack([begin, self._position + ends], axis=1).astype(np.int64)
        # `[]` and a comma before the bracket leave nothing between: no record.
        return table[written[:-1]] if len(ends) else _table([])


def _table(rows: list[tuple[int, int]]) -> NDArray[np.int64]:
    return np.array(rows, dtype=np.int64).reshape(-1, 2)
