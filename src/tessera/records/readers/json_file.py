"""A JSON file: one record a line, or one array of records; each is found by its byte offset."""

from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tessera.records.faults import DataError
from tessera.records.files.cache import cached_folder, map_table
from tessera.records.files.places import Location
from tessera.records.files.remote import local_copy, stamp
from tessera.records.readers.container import BYTE_ORDER_MARK, Container, parse_json
from tessera.records.readers.json_bounds import element_bounds, line_bounds
from tessera.records.readers.json_shape import Shape, refused, shape_of, wrapped
from tessera.records.record import MOST_BYTES
from tessera.runtime.shown import shown


class JsonFile(Container):
    """Lines of a `.jsonl` or `.json` file, blank ones left out, or the elements of its one array.

    A remote file is copied into the cache first. ValueError when the file holds neither, with what it holds.
    """

    def __init__(self, file: Location) -> None:
        super().__init__(file)
        self._local = local_copy(file)
        shape = shape_of(self._local, shown(file, bare=True))
        self._bounds = element_bounds if shape is Shape.ARRAY else line_bounds

    @property
    def in_local_lines(self) -> bool:
        """Whether every record is a line of a local file."""
        return self._bounds is line_bounds and isinstance(self.file, Path)

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        """First byte, end and line of every record: int64 [N, 3], memory-mapped."""

        def scan(folder: Path) -> None:
            with self._local.open("rb") as stream, (folder / "bounds").open("wb") as table:
                try:
                    for rows in self._bounds(stream):
                        table.write(rows.tobytes())
                except ValueError as error:
                    raise ValueError(f"{shown(self.file, bare=True)}: {error}") from error
            self._check_single(folder / "bounds")

        folder = cached_folder("json", f"{self._bounds.__name__} {self.stamp()}", scan)
        return map_table(folder / "bounds", 3)

    def _check_single(self, table: Path) -> None:
        """ValueError when the only object in the file holds the records, or is another kind of file."""
        rows = map_table(table, 3)
        if len(rows) == 1 and rows[0, 1] - rows[0, 0] <= MOST_BYTES:
            with suppress(DataError):
                if found := wrapped(self._parsed(rows[0])):
                    raise refused(shown(self.file, bare=True), *found)

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
        row = self._table[index]
        self.check_unchanged(index)
        return self._parsed(row)

    def raw(self, index: int) -> bytes:
        """The bytes of a record as they stand there, or the first ones of a record beyond the limit."""
        return self._bytes(self._table[index])

    def _parsed(self, row: NDArray[np.int64]) -> object:
        return parse_json(self._bytes(row), self.file, int(row[2]))

    def _bytes(self, row: NDArray[np.int64]) -> bytes:
        start, end, _ = row.tolist()
        with self._local.open("rb") as stream:
            stream.seek(start)
            return stream.read(min(end - start, MOST_BYTES + len(BYTE_ORDER_MARK) + 1))

    def stamp(self) -> str:
        """Fingerprint of the file, or of its copy."""
        return stamp(self._local)
