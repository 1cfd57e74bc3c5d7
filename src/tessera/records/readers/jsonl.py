"""A JSONL file: one record a line, found by its byte offset."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tessera.records.files.cache import file_stamp
from tessera.records.files.lines import line_offsets
from tessera.records.files.places import Location
from tessera.records.files.remote import local_copy
from tessera.records.readers.container import BYTE_ORDER_MARK, parse_json
from tessera.records.record import MOST_BYTES


class JsonLines:
    """Lines of one file; blank lines are no records. A remote file is copied into the cache first."""

    def __init__(self, file: Location) -> None:
        self.file = file
        self._local = local_copy(file)

    @cached_property
    def _table(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return line_offsets(self._local)

    def __len__(self) -> int:
        return len(self._table[1])

    def line(self, index: int) -> int:
        """The line of a record, from 1."""
        return int(self._table[1][index])

    def index(self, line: int) -> int | None:
        """The record in a line; None when the line is blank."""
        lines = self._table[1]
        found = int(np.searchsorted(lines, line))
        return found if found < len(lines) and lines[found] == line else None

    def record(self, index: int) -> object:
        """The parsed JSON of a line; of a line beyond the limit no more than that is read."""
        with self._local.open("rb") as stream:
            stream.seek(int(self._table[0][index]))
            data = stream.readline(MOST_BYTES + len(BYTE_ORDER_MARK) + 1)
        return parse_json(data, self.file, self.line(index))

    def members(self, index: int) -> Mapping[str, bytes | Path]:
        """None."""
        return {}

    def stamp(self) -> str:
        """Path, size and time of change."""
        return file_stamp(self._local)
