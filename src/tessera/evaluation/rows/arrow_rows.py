"""Data sets as Hugging Face's library saves them: Arrow streams, looked up by row."""

import errno
from functools import cached_property
from pathlib import Path

import numpy as np

from tessera.records.files.cache import cached_folder
from tessera.records.files.places import Location
from tessera.records.readers.parquet import ParquetRows, arrow
from tessera.records.readers.parquet_bounds import FREE, RATIO, ROWS
from tessera.runtime.shown import shown


class ArrowRows(ParquetRows):
    """Rows of one `.arrow` file by number. ValueError when it can't be read."""

    @cached_property
    def _folder(self) -> Path:
        return cached_folder("arrow", f"1 {self.stamp()}", lambda fresh: write_rows(self.file, fresh))


def write_rows(file: Location, folder: Path) -> None:
    """The rows of an Arrow stream as an Arrow file with few rows a batch, as parquet files are kept.

    ValueError for another file, and for one that unpacks far more than it is large.
    """
    pyarrow, rows, unpacked = arrow(), 0, 0
    most = FREE + RATIO * Path(file).stat().st_size
    try:
        with (
            pyarrow.memory_map(str(file)) as mapped,
            pyarrow.ipc.open_stream(mapped) as stream,
            pyarrow.ipc.new_file(str(folder / "rows.arrow"), stream.schema) as out,
            (folder / "ends").open("wb") as ends,
        ):
            for batch in stream:
                unpacked += batch.nbytes
                if unpacked > most:
                    raise ValueError(f"its first {rows} rows unpack more than {most} bytes")
                for start in range(0, batch.num_rows, ROWS):
                    part = batch.slice(start, ROWS)
                    out.write_batch(part)
                    rows += part.num_rows
                    ends.write(np.array([rows], np.int64).tobytes())
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # the cache's, not the file's
            raise
        detail = f"no readable Arrow stream ({shown(error, 300)}); save the data set again, or as parquet"
        raise ValueError(f"{shown(file, bare=True)}: {detail}") from error
