"""Parquet rows: read once by ranges, kept in the cache as an Arrow file, and looked up there, memory-mapped.

Parquet compresses whole groups of rows, so a random row would cost a group; an Arrow file gives it at once.
Columns with nested messages, pictures as `{bytes, path}`, and JSON written into text columns are understood,
as Hugging Face's libraries write them.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from tessera.data.cache import cached_folder
from tessera.data.faults import Reason
from tessera.data.places import Location
from tessera.data.readers.container import Numbered, fault
from tessera.data.remote import open_binary, stamp

ROWS = 64
"""Rows of a batch in the cache."""
NESTED = (
    *("conversations", "conversation", "messages", "history", "images", "videos"),
    *("texts", "objects", "text_list", "image_info"),
)
"""Columns that may hold JSON as text."""


def arrow() -> Any:
    """pyarrow. ValueError that names the extra when it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError("parquet needs pyarrow; install tessera-vl[parquet]") from error
    return pyarrow


class ParquetRows(Numbered):
    """Rows of one file by number."""

    def __init__(self, file: Location) -> None:
        self.file = file
        arrow()

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file}

    @cached_property
    def _batches(self) -> Any:
        name = f"{self.stamp()} {ROWS}"
        folder = cached_folder("parquet", name, lambda fresh: write_arrow(self.file, fresh))
        return arrow().ipc.open_file(arrow().memory_map(str(folder / "rows.arrow")))

    @cached_property
    def _ends(self) -> list[int]:
        """Rows up to the end of every batch."""
        counts = (self._batches.get_batch(n).num_rows for n in range(self._batches.num_record_batches))
        return list(accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def stamp(self) -> str:
        """Path, size and time of change."""
        return stamp(self.file)

    def record(self, index: int) -> object:
        """The row as an object; columns without a value are left out."""
        number = bisect_right(self._ends, index)
        first = self._ends[number - 1] if number else 0
        try:
            row = self._batches.get_batch(number).slice(index - first, 1).to_pylist()[0]
        except (arrow().ArrowException, ValueError, OverflowError) as error:
            raise fault(self.file, index + 1, Reason.BROKEN_ARCHIVE, str(error)) from error
        return {key: self._value(index, key, value) for key, value in row.items() if value is not None}

    def _value(self, index: int, key: str, value: object) -> object:
        """Lists and objects of a column, whether written as such, as columns of a list, or as JSON."""
        if key in NESTED and isinstance(value, str) and value[:1] in ("[", "{"):
            try:
                return json.loads(value)
            except (ValueError, RecursionError) as error:
                raise fault(self.file, index + 1, Reason.BROKEN_JSON, f"column {key}: {error}") from error
        if key in ("conversations", "messages") and isinstance(value, dict):
            return _rows(value)
        return value


def write_arrow(file: Location, folder: Path) -> None:
    """The rows of a parquet file as an Arrow file, a batch at a time. ValueError when it can't be read."""
    pyarrow = arrow()
    try:
        with open_binary(file) as stream:
            table = pyarrow.parquet.ParquetFile(stream)
            with pyarrow.ipc.new_file(str(folder / "rows.arrow"), table.schema_arrow) as out:
                for batch in table.iter_batches(batch_size=ROWS):
                    out.write_batch(batch)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{file}: not a readable parquet file ({error}); write or fetch it again") from error


def _rows(columns: dict[str, Any]) -> object:
    """`{"from": [..], "value": [..]}`, an older way of writing a list of objects, as that list."""
    lists = [value for value in columns.values() if isinstance(value, list)]
    if len(lists) != len(columns) or len({len(column) for column in lists}) != 1:
        return columns
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
