"""A JSON file: one record a line, or one array of records; each is found by its byte offset."""

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tessera.records.files.cache import cached_folder, map_table
from tessera.records.files.places import Location, suffix
from tessera.records.files.remote import local_copy, stamp
from tessera.records.readers.container import BYTE_ORDER_MARK, Container, parse_json
from tessera.records.readers.json_bounds import element_bounds, line_bounds
from tessera.records.record import MOST_BYTES


class JsonFile(Container):
    """Lines of a `.jsonl` file, blank ones left out; a `.json` file may hold an array instead.

    A remote file is copied into the cache first. ValueError when a `.json` file begins with neither.
    """

    def __init__(self, file: Location) -> None:
        super().__init__(file)
        self._local = local_copy(file)
        self._bounds = element_bounds if suffix(file) == ".json" and self._is_array() else line_bounds

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        """First byte, end and line of every record: int64 [N, 3], memory-mapped."""

        def scan(folder: Path) -> None:
            with self._local.open("rb") as stream, (folder / "bounds").open("wb") as table:
                for rows in self._bounds(stream):
                    rows.tofile(table)

        folder = cached_folder("json", f"{self._bounds.__name__} {self.stamp()}", scan)
        return map_table(folder / "bounds", 3)

    def __len__(self) -> int:
        return len(self._table)

    def line(self, index: int) -> int:
        """The line of a record, from 1; of an array its number."""
        return int(self._table[index, 2])

    def index(self, line: int) -> int | None:
        """The record in a line; None when the line is blank."""
        lines = self._table[:, 2]
        found = int(np.searchsorted(lines, line))
        return found if found < len(lines) and lines[found] == line else None

    def record(self, index: int) -> object:
        """The parsed JSON of a record; of one beyond the limit no more than that is read."""
        start, end, line = self._table[index].tolist()
        with self._local.open("rb") as stream:
            stream.seek(start)
            data = stream.read(min(end - start, MOST_BYTES + len(BYTE_ORDER_MARK) + 1))
        return parse_json(data, self.file, line)

    def stamp(self) -> str:
        """Fingerprint of the file, or of its copy."""
        return stamp(self._local)

    def _is_array(self) -> bool:
        with self._local.open("rb") as stream:
            head = stream.read(1 << 16).removeprefix(BYTE_ORDER_MARK).lstrip()[:1]
        if head not in (b"", b"[", b"{"):
            raise ValueError(
                f"{self.file}: begins with {head!r}; give an array of records, or one object a line"
            )
        return head != b"{"
