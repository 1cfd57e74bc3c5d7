"""TSV and CSV tables by row: quoted line breaks are part of a cell, and each row is found by its byte offset.

Python's csv module reads the cells. The offsets are ours, kept in the cache: a table with pictures in base64
may have gigabytes, and the libraries that read such tables keep all of it in memory.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tessera.evaluation.rows.cells import Column, Kind, Value, plain, typed
from tessera.records.files.cache import cached_folder, map_table
from tessera.records.readers.container import BYTE_ORDER_MARK, Container
from tessera.runtime.shown import shown

DELIMITERS = {".tsv": "\t", ".csv": ",", ".txt": "\t"}
MOST_BYTES = 2**29
"""Longest row: some dozen pictures in base64."""


class TableRows(Container):
    """Rows of a table with a header, by number.

    pandas: cells are what pandas makes of their columns; else texts. header: of a file without one.
    ValueError for a file that is no such table, naming line and remedy.
    """

    def __init__(self, file: Path, pandas: bool, header: Sequence[str] = ()) -> None:
        super().__init__(file)
        self._given = list(header)
        self._path, self._pandas, self._delimiter = file, pandas, DELIMITERS[file.suffix.lower()]
        csv.field_size_limit(MOST_BYTES)

    @cached_property
    def _folder(self) -> Path:
        return cached_folder("table", f"2 {self._given} {self.stamp()}", lambda fresh: self._scan(fresh))

    @cached_property
    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self._folder / "facts.json").read_bytes())
        return facts

    @cached_property
    def _bounds(self) -> NDArray[np.int64]:
        """First byte, end and line of every row: int64 [N, 3], memory-mapped."""
        return map_table(self._folder / "bounds", 3)

    @property
    def header(self) -> list[str]:
        """Names of the columns in order."""
        names: list[str] = self._facts["header"]
        return names

    @property
    def kinds(self) -> list[Kind]:
        """What pandas makes of each column."""
        found: list[Kind] = self._facts["kinds"]
        return found

    def notes(self, columns: set[str]) -> list[str]:
        """What pandas' rules change in these columns, in words: a line for gaps, and one for numbers."""
        found: dict[bool, list[str]] = {True: [], False: []}
        for name, changes in zip(self.header, self._facts["changes"], strict=True):
            for cell, count, becomes in changes if self._pandas and name in columns else ():
                what = repr(cell) if becomes == "missing" else f"{cell!r} as {becomes}"
                found[becomes == "missing"].append(f"{name} ({count} cells, {what})")
        heads = {True: "read as missing, as pandas does", False: "read as numbers, as pandas does"}
        return [f"{heads[kind]}: {', '.join(told)}" for kind, told in found.items() if told]

    def __len__(self) -> int:
        return len(self._bounds)

    def line(self, index: int) -> int:
        """The line that a row begins in, from 1."""
        return int(self._bounds[index, 2])

    def record(self, index: int) -> dict[str, Value]:
        """Column → value; a row that is too short has gaps at its end."""
        self.check_unchanged(index)
        start, end, line = self._bounds[index].tolist()
        with self._path.open("rb") as stream:
            stream.seek(start)
            data = stream.read(end - start)
        cells = next(csv.reader(self._decoded(data, line), delimiter=self._delimiter))
        cells += [""] * (len(self.header) - len(cells))
        values = typed(cells, self.kinds) if self._pandas else plain(cells)
        return dict(zip(self.header, values, strict=True))

    def _decoded(self, data: bytes, line: int) -> Iterator[str]:
        for number, piece in enumerate(data.splitlines(keepends=True)):
            yield self._text(piece, line + number)

    def _text(self, piece: bytes, line: int) -> str:
        try:
            return piece.decode("utf-8")
        except UnicodeDecodeError as error:
            what = f"byte {error.start + 1} is 0x{piece[error.start]:02x}, no UTF-8"
            raise self._fault(line, f"{what}; save the file as UTF-8") from error

    def _fault(self, line: int, what: str) -> ValueError:
        return ValueError(f"{shown(self._path)}:{line}: {what}")

    def _scan(self, folder: Path) -> None:
        """Bounds of all rows, and what the cells of each column are."""
        with self._path.open("rb") as stream, (folder / "bounds").open("wb") as bounds:
            rows = _Rows(self, stream)
            header = self._given or self._header(rows)
            columns = [Column() for _ in header]
            for start, end, line, cells in rows:
                if len(cells) > len(header):
                    what = f"{len(cells)} cells where the header has {len(header)}"
                    raise self._fault(line, f"{what}; put a cell with a tab or a quote in quotes")
                np.array([start, end, line], np.int64).tofile(bounds)
                cells += [""] * (len(header) - len(cells))
                for column, cell in zip(columns, cells, strict=True):
                    column.see(cell)
        facts = {"header": header, "kinds": [column.kind for column in columns]}
        facts["changes"] = [column.changes for column in columns]
        (folder / "facts.json").write_text(json.dumps(facts))

    def _header(self, rows: "_Rows") -> list[str]:
        """The names in the first row; one that stands twice is an error."""
        _, _, line, header = next(rows, (0, 0, 1, []))
        if not header:
            raise self._fault(1, "no header; write the names of the columns in the first line")
        repeated = next((name for n, name in enumerate(header) if name in header[:n]), None)
        if repeated is not None:
            raise self._fault(line, f"two columns are called {shown(repeated)}; rename one of them")
        return header


class _Rows:
    """Rows of an open table, each with first byte, end and line; blank lines are passed over."""

    def __init__(self, table: TableRows, stream: IO[bytes]) -> None:
        self._table, self._stream = table, stream
        self._position = self._line = 0
        self._ended = self._quoted = False
        self._reader = csv.reader(self._lines(), delimiter=table._delimiter)

    def __iter__(self) -> "_Rows":
        return self

    def __next__(self) -> tuple[int, int, int, list[str]]:
        while True:
            start, line = self._position, self._line + 1
            try:
                cells = next(self._reader)
            except csv.Error as error:
                raise self._table._fault(
                    line, f"{error}; correct the quotes, or keep what is long in files"
                ) from error
            if self._ended:
                raise self._table._fault(
                    line, "a quote that opens here never closes; write one in a cell twice"
                )
            if len(cells) > 1 or (cells and (cells[0].strip(" ") or self._quoted)):
                return start, self._position, line, cells

    def _lines(self) -> Iterator[str]:
        """One line after the other, however lines end; what is read of the file is known at any time."""
        while data := self._stream.readline(MOST_BYTES + 1):
            if len(data) > MOST_BYTES:
                raise self._table._fault(
                    self._line + 1, f"more than {MOST_BYTES} bytes in a line; keep pictures in files"
                )
            for piece in data.splitlines(keepends=True):
                mark = len(BYTE_ORDER_MARK) if not self._position and piece.startswith(BYTE_ORDER_MARK) else 0
                self._position += len(piece)
                self._line += 1
                self._quoted = piece[mark : mark + 1] == b'"'
                yield self._table._text(piece[mark:], self._line)
        self._ended = True
