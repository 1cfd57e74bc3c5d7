"""What a parquet file may unpack: kilobytes of it can stand for terabytes of rows.

Its footer is looked at first; a value that is stored once and meant by many rows stays stored once until the
size of the rows is known.
"""

from collections.abc import Iterator
from typing import IO, Any

from tessera.records.record import MOST_BYTES

ROWS = 64
"""Rows of a batch in the cache."""
FEW_ROWS = 4
"""Rows that are unpacked before their size is known."""
MOST_VALUES = 1_000_000
"""Most numbers and texts of a row, those of its lists counted."""
BATCH = 64 * 2**20
"""Bytes of rows that are unpacked together."""
FREE = 2**29
"""Bytes that any file may unpack."""
RATIO = 1000
"""Beyond FREE, most bytes that a byte of the file may become."""


class TooLarge(ValueError):
    """What a parquet file would unpack is more than a record, or a file, may."""


class Unpacking:
    """The rows of a file, unpacked a bounded part at a time. TooLarge for rows or files beyond the bounds."""

    def __init__(self, arrow: Any, stream: IO[bytes], size: int) -> None:
        self._arrow, self._most, self._rows, self._bytes = arrow, FREE + RATIO * size, 0, 0
        bounds = {"pre_buffer": False, "buffer_size": 1 << 20, "thrift_string_size_limit": 1 << 24}
        self._file = self._shared = arrow.parquet.ParquetFile(stream, **bounds)
        self.schema = self._file.schema_arrow
        if len(set(self.schema.names)) < len(self.schema.names):
            raise ValueError("two columns have one name; rename one of them")
        self._check_footer()
        columns = [self._file.schema.column(number) for number in range(len(self._file.schema))]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        self._shared = arrow.parquet.ParquetFile(stream, read_dictionary=texts, **bounds)

    def batches(self) -> Iterator[Any]:
        """Record batches of the file's own schema, in order, each of at most BATCH bytes or one row."""
        for group in range(self._file.num_row_groups):
            for batch in self._group(group):
                whole = self._size(batch)
                # Taken, not sliced: a cast of a slice unpacks the lists of all rows.
                rows = [] if whole <= BATCH else range(batch.num_rows)
                parts = [batch.take(self._arrow.array([row])) for row in rows] or [batch]
                for part in parts:
                    self._bytes += whole if part is batch else self._size(part)
                    if self._bytes > self._most:
                        told = f"its first {self._rows} rows unpack more than {self._most} bytes"
                        raise TooLarge(f"{told}; keep in files what many rows share")
                    self._rows += part.num_rows
                    yield part.cast(self.schema)

    def _group(self, group: int) -> Iterator[Any]:
        """Batches of a row group as they are read: values that are stored once are kept once."""
        done = 0
        try:
            for batch in self._shared.iter_batches(ROWS, row_groups=[group]):
                yield batch
                done += batch.num_rows
        except self._arrow.ArrowNotImplementedError:
            # Lists of texts that stand partly once and partly row by row are only read unpacked.
            for batch in self._file.iter_batches(FEW_ROWS, row_groups=[group]):
                before = min(done, batch.num_rows)
                done -= before
                if before < batch.num_rows:
                    yield batch.slice(before)

    def _size(self, batch: Any) -> int:
        """Bytes of a batch when it is unpacked. TooLarge when it is one row beyond the bounds."""
        size, values = self._unpacked(batch.columns)
        if batch.num_rows == 1 and (size > MOST_BYTES or values > MOST_VALUES):
            limits = f"limits {MOST_BYTES} and {MOST_VALUES}"
            told = f"row {self._rows + 1} has {size} bytes and {values} values, {limits}"
            raise TooLarge(f"{told}; keep pictures in files and split the record")
        # Many values need a look at each row.
        return size if batch.num_rows == 1 or values <= MOST_VALUES else max(size, BATCH + 1)

    def _unpacked(self, arrays: list[Any]) -> tuple[int, int]:
        """Bytes and values of columns as they are read, lists and objects inside counted."""
        types, compute = self._arrow.types, self._arrow.compute
        size = values = 0
        for array in arrays:
            inner: list[Any] = []
            values += len(array)
            if types.is_dictionary(array.type):
                lengths = compute.binary_length(array.dictionary).take(array.indices)
                size += compute.sum(lengths).as_py() or 0
            elif types.is_struct(array.type):
                inner = array.flatten()
            elif types.is_nested(array.type):
                inner = [array.flatten()] if hasattr(array, "flatten") else []
                size += array.nbytes if not inner else 0
            else:
                size += array.nbytes
            more = self._unpacked(inner) if inner else (0, 0)
            size, values = size + more[0], values + more[1]
        return size, values

    def _check_footer(self) -> None:
        """TooLarge when a part of the file says of itself that it is too large."""
        footer = self._file.metadata
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            rows = max(1, group.num_rows)
            for column in range(group.num_columns):
                part = group.column(column)
                size, packed = part.total_uncompressed_size, max(1, part.total_compressed_size)
                many = size > MOST_BYTES * rows or part.num_values > MOST_VALUES * rows
                if many or (size > FREE // 4 and size > RATIO * packed):
                    told = f"column {column + 1} of its row group {number + 1} unpacks {size} bytes"
                    told += f" and {part.num_values} values of {rows} rows from {packed} bytes"
                    raise TooLarge(f"{told}; keep pictures in files and split the records")
