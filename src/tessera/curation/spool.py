"""What a check remembers of every record, in files instead of memory; and the log of faults."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.curation.duplicates import HASHES
from tessera.records.faults import Reason, RecordFault

KEPT = 200
"""Faults of one reason that are kept in memory for the report; all are counted, and written to a file."""
KINDS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "content": (np.uint64, ()),
    "id": (np.uint64, ()),
    "signature": (np.uint16, (HASHES,)),
    "same_as": (np.int64, ()),
    "near_to": (np.int64, ()),
    "rejected": (np.uint8, ()),
}


class Spool:
    """One column of N values for every kind, memory-mapped, in a folder."""

    def __init__(self, folder: Path, records: int) -> None:
        self._columns: dict[str, Any] = {
            name: np.lib.format.open_memmap(
                folder / f"{name}.npy", mode="w+", dtype=kind, shape=(records, *shape)
            )
            if records
            else np.zeros((0, *shape), dtype=kind)
            for name, (kind, shape) in KINDS.items()
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        column: NDArray[Any] = self._columns[name]
        return column


class FaultLog:
    """Faults of one source: counted by reason, the first of each kept, all of them in a file."""

    def __init__(self, file: Path) -> None:
        self.counts: Counter[Reason] = Counter()
        self.kept: list[RecordFault] = []
        self.records = 0
        self._file = file
        self._stream = file.open("w", encoding="utf-8")

    def add(self, index: int, faults: Sequence[RecordFault]) -> None:
        """All faults of one record."""
        self.records += 1
        for fault in faults:
            self.counts[fault.reason] += 1
            if self.counts[fault.reason] <= KEPT:
                self.kept.append(fault)
        row = {"index": index, "faults": [fault_values(fault) for fault in faults]}
        self._stream.write(json.dumps(row) + "\n")

    def close(self) -> None:
        """Write out what is pending."""
        self._stream.close()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every faulty record, once the log is closed: `index` and `faults` as plain values."""
        with self._file.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def fault_values(fault: RecordFault) -> dict[str, Any]:
    """A fault as plain values."""
    return {
        "file": str(fault.file),
        "line": fault.line,
        "field": fault.field,
        "reason": str(fault.reason),
        "detail": fault.detail,
        "remedy": fault.remedy,
    }
