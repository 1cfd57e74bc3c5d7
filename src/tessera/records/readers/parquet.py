"""Parquet rows: read once by ranges, kept in the cache as an Arrow file, and looked up there, memory-mapped.

Parquet compresses whole groups of rows, so a random row would cost a group; an Arrow file gives it at once.
Columns with nested messages, pictures as `{bytes, path}`, and JSON written into text columns are understood,
as Hugging Face's libraries write them.
"""

import errno
import io
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.records.faults import Reason
from tessera.records.files.cache import cached_folder
from tessera.records.files.places import Location
from tessera.records.files.remote import open_binary
from tessera.records.readers.container import DEEPEST, Container, fault
from tessera.records.readers.parquet_bounds import TooLarge, Unpacking
from tessera.runtime.json_file import deeper_than
from tessera.runtime.shown import shown

NESTED = (
    *("conversations", "conversation", "messages", "history", "images", "videos"),
    *("texts", "objects", "text_list", "image_info"),
)
"""Columns that may hold JSON as text."""


def arrow() -> Any:
    """pyarrow. ValueError that names the extra when it is not installed."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError("parquet needs pyarrow; install tessera-vl[parquet]") from error
    return pyarrow


class ParquetRows(Container):
    """Rows of one file by number."""

    def __init__(self, file: Location) -> None:
        super().__init__(file)
        arrow()

    @cached_property
    def _folder(self) -> Path:
        return cached_folder("parquet", f"2 {self.stamp()}", lambda fresh: write_arrow(self.file, fresh))

    @cached_property
    def _batches(self) -> Any:
        return arrow().ipc.open_file(arrow().memory_map(str(self._folder / "rows.arrow")))

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Rows up to the end of every batch: int64 [batches]."""
        return np.fromfile(self._folder / "ends", dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def record(self, index: int) -> object:
        """The row as an object; columns without a value are left out."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[number - 1]) if number else 0
        try:
            row = self._batches.get_batch(number).slice(index - first, 1).to_pylist()[0]
        except (arrow().ArrowException, ValueError, OverflowError, LookupError) as error:
            raise fault(self.file, index + 1, Reason.BROKEN_ARCHIVE, str(error)) from error
        return {key: self._value(index, key, value) for key, value in row.items() if value is not None}

    def _value(self, index: int, key: str, value: object) -> object:
        """Lists and objects of a column, whether written as such, as columns of a list, or as JSON."""
        if key in NESTED and isinstance(value, str) and value[:1] in ("[", "{"):
            try:
                found: object = json.loads(value)
            except RecursionError as error:
                raise fault(self.file, index + 1, Reason.DEEP_JSON, f"column {key}") from error
            except ValueError as error:
                raise fault(self.file, index + 1, Reason.BROKEN_JSON, f"column {key}: {error}") from error
            if deeper_than(found, DEEPEST):
                raise fault(self.file, index + 1, Reason.DEEP_JSON, f"column {key}")
            return found
        if key in ("conversations", "messages") and isinstance(value, dict):
            return _rows(value)
        return value


def write_arrow(file: Location, folder: Path) -> None:
    """The rows of a parquet file as an Arrow file, a batch at a time. ValueError when it can't be read."""
    pyarrow = arrow()
    try:
        with open_binary(file) as stream, (folder / "ends").open("wb") as ends:
            unpacking, rows = Unpacking(pyarrow, stream, stream.seek(0, io.SEEK_END)), 0
            with pyarrow.ipc.new_file(str(folder / "rows.arrow"), unpacking.schema) as out:
                for batch in unpacking.batches():
                    out.write_batch(batch)
                    rows += batch.num_rows
                    ends.write(np.array([rows], dtype=np.int64).tobytes())
    except TooLarge as error:
        raise ValueError(f"{shown(file, bare=True)}: {error}") from error
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # the cache's, not the file's
            raise
        detail = f"not a readable parquet file ({shown(error, 300)}); write or fetch it again"
        raise ValueError(f"{shown(file, bare=True)}: {detail}") from error


def _rows(columns: dict[str, Any]) -> object:
    """`{"from": [..], "value": [..]}`, an older way of writing a list of objects, as that list."""
    lists = [value for value in columns.values() if isinstance(value, list)]
    if len(lists) != len(columns) or len({len(column) for column in lists}) != 1:
        return columns
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
