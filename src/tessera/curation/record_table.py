"""What a survey remembers of every record: columns on disk instead of memory, and the log of faults."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.curation.duplicates import HASHES
from tessera.records.faults import Reason, RecordFault
from tessera.records.source import Place

KEPT = 200
"""Faults of one reason that are kept in memory for the report; all are counted, and written to a file."""
COLUMNS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "content": (np.uint64, ()),
    "id": (np.uint64, ()),
    "signature": (np.uint16, (HASHES,)),
    "same_as": (np.int64, ()),
    "near_to": (np.int64, ()),
    "rejected": (np.uint8, ()),
}

RecordTable = dict[str, NDArray[Any]]
"""Columns of N values by name, memory-mapped."""


def new_table(folder: Path, records: int) -> RecordTable:
    """Columns of zeros in files of a folder."""
    return {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=kind, shape=(records, *shape)
        )
        if records
        else np.zeros((0, *shape), dtype=kind)
        for name, (kind, shape) in COLUMNS.items()
    }


class FaultLog:
    """Faults of one source: counted by reason, the first of each kept, all of them in a file.

    place: file and line of a record by its number.
    """

    def __init__(self, file: Path, place: Callable[[int], Place]) -> None:
        self.counts: Counter[Reason] = Counter()
        self.kept: list[RecordFault] = []
        self.records = 0
        self._file, self._place = file, place
        self._stream = file.open("w", encoding="utf-8")

    def add(self, index: int, faults: Sequence[RecordFault]) -> None:
        """All faults of one record."""
        self.records += 1
        for fault in faults:
            self.counts[fault.reason] += 1
            if self.counts[fault.reason] <= KEPT:
                self.kept.append(fault)
        row = [index, [[f.field, f.reason.name, f.detail, f.advice] for f in faults]]
        self._stream.write(json.dumps(row) + "\n")

    def rows(self) -> Iterator[tuple[int, list[RecordFault]]]:
        """Every faulty record with its faults, as they were found, once the log is closed."""
        with self._file.open(encoding="utf-8") as lines:
            for index, faults in map(json.loads, lines):
                place = self._place(index)
                yield index, [RecordFault(*place, where, Reason[why], *told) for where, why, *told in faults]

    def close(self) -> None:
        """Write out what is pending."""
        self._stream.close()
