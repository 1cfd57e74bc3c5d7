"""Where the records of a JSON file begin and end: its lines, or the elements of its one array.

Both scans take a block at a time, in memory that doesn't grow with the file, and parse nothing.

Elements by hand, because the library for it, ijson 3.6, gives no byte offsets, so that every record would
have to be copied; and because one bad element must not spoil the others. Measured with its C back end: it
stops for good at the first broken element or NaN, crashes the process at an integer of 5,000 digits, needs
time quadratic in the depth of brackets, and gives "?" for half of a surrogate pair. The gain is safety and no
copy; on an array of 37 MB this scan takes 0.5 s, ijson with a copy 0.4 s, json.load, with all in memory,
0.3 s. Delete it when a library names the bytes of every element and goes on behind a broken one.
"""

import re
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tessera.runtime.shown import shown

BLOCK = 1 << 20
"""Bytes scanned at a time."""
_WHITE = b" \t\r\n"
_BLANK = np.isin(np.arange(256), np.frombuffer(_WHITE + b"\x0b\x0c", dtype=np.uint8))

_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
# Everything up to the next byte that matters: texts are passed over whole, commas only count in the array.
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + _TEXT + rb")*+", re.DOTALL)
_TO_BRACKET_OR_COMMA = re.compile(rb'(?:[^"\[\]{},]++|' + _TEXT + rb")*+", re.DOTALL)
_TO_QUOTE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


def line_bounds(stream: IO[bytes]) -> Iterator[NDArray[np.int64]]:
    """First byte, end and number (from 1) of every line that is not blank: int64 [n, 3] for each block."""
    position = start = 0
    number, written = 1, False  # of the line that the block begins in: has it shown more than white space?
    while block := stream.read(BLOCK):
        data = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(data == ord("\n"))
        shown = np.cumsum(~_BLANK[data])
        full = np.diff(shown[ends], prepend=0) > 0
        starts = np.concatenate([[start], position + ends + 1])
        rest = bool(shown[-1] > (shown[ends[-1]] if len(ends) else 0))
        if len(ends):
            full[0] |= written
        written = rest or (written and not len(ends))
        numbers = number + np.arange(len(ends))
        yield np.stack([starts[:-1], starts[1:], numbers], axis=1)[full].astype(np.int64)
        position, start, number = position + len(data), int(starts[-1]), number + len(ends)
    if written:
        yield np.array([[start, position, number]], dtype=np.int64)


def element_bounds(stream: IO[bytes]) -> Iterator[NDArray[np.int64]]:
    """First byte, end and number (from 1) of the elements of the array that a stream holds: int64 [n, 3].

    Elements end at commas outside texts and inner brackets, and at the array's own bracket; a file that ends
    before it gives what it has, and its last element will not parse. ValueError when more follows the array.
    """
    scan, tail, number = _Scan(), b"", 1
    while not scan.closed and (block := stream.read(BLOCK)):
        rows, tail = scan.feed(tail + block)
        yield np.array([[*row, number + n] for n, row in enumerate(rows)], dtype=np.int64).reshape(-1, 3)
        number += len(rows)
    if scan.closed:
        while (more := tail.strip(_WHITE)) or (tail := stream.read(BLOCK)):
            if more:
                begin = shown(more[:40].decode("utf-8", "replace"))
                raise ValueError(f"more follows its array: {begin}; give one array, or one object a line")
    elif scan.written:
        yield np.array([[scan.start, scan.position + len(tail), number]], dtype=np.int64)


class _Scan:
    """State between blocks: depth of brackets, in a text or not, the element under way."""

    def __init__(self) -> None:
        self.closed = self.written = self._in_text = False
        self.position = self.start = self._depth = 0

    def feed(self, block: bytes) -> tuple[list[tuple[int, int]], bytes]:
        """Bounds of the elements that end in this block, and bytes that the next must begin with."""
        rows: list[tuple[int, int]] = []
        at = 0
        while at < len(block) and not self.closed:
            if self._in_text:
                at = _to(_TO_QUOTE, block, at)
                self._in_text = block[at : at + 1] != b'"'
                if self._in_text:
                    break  # at the end, or at a backslash whose character is still to come
                at += 1
            else:
                at = self._step(block, at, rows)
        self.position += at
        return rows, block[at:]

    def _step(self, block: bytes, at: int, rows: list[tuple[int, int]]) -> int:
        """Go behind the next byte that matters."""
        end = _to(_TO_BRACKET_OR_COMMA if self._depth == 1 else _TO_BRACKET, block, at)
        byte = block[end : end + 1]
        if self._depth == 1:
            self.written |= bool(block[at:end].strip(_WHITE)) or byte in (b"[", b"{", b'"')
        if byte == b'"':
            self._in_text = True
        elif byte in (b"[", b"{"):
            self._depth += 1
            if self._depth == 1:
                self.start = self.position + end + 1
        elif byte and self._depth == 1:  # a comma, or the array's own bracket
            # `[]` and a comma before the bracket leave nothing between: no record.
            if self.written:
                rows.append((self.start, self.position + end))
            self.start, self.written = self.position + end + 1, False
            self.closed = byte != b","
        elif byte:
            self._depth -= 1
        return end + 1 if byte else end


def _to(pattern: re.Pattern[bytes], block: bytes, at: int) -> int:
    """Where a pattern that also matches nothing ends."""
    match = pattern.match(block, at)
    return at if match is None else match.end()
