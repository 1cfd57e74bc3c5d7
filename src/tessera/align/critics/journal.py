"""Results of a long run by number, on the disk as they come: the same run goes on where it ended."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from tessera.records.writing import json_line
from tessera.runtime.disk import disk_faults


class RatingJournal:
    """Ratings of one file by one critic. about: what they depend on; those of another run are dropped.

    A last line that was torn by an interruption is dropped, too. file: None keeps ratings in memory alone.
    """

    def __init__(self, file: Path | None, about: Mapping[str, Any]) -> None:
        self.file, self.found = file, dict[int, dict[str, Any]]()
        self._stream: IO[bytes] | None = None
        if file is None:
            return
        head = json_line({"about": about})
        with disk_faults(file):
            kept = self._read(file, head) if file.is_file() else []
            self._stream = file.open("wb")
            self._stream.writelines([head, *kept])
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def add(self, ratings: Mapping[int, dict[str, Any]]) -> None:
        """More of them, on the disk when this returns."""
        if self._stream is not None and self.file is not None:
            with disk_faults(self.file):
                self._stream.writelines(json_line({"number": n} | rating) for n, rating in ratings.items())
                self._stream.flush()
                os.fsync(self._stream.fileno())
        self.found.update(ratings)

    def _read(self, file: Path, head: bytes) -> list[bytes]:
        first, *lines = file.read_bytes().splitlines(keepends=True) or [b""]
        if first != head:
            return []
        whole = [line for line in lines if line.endswith(b"\n")]
        for line in whole:
            rating = json.loads(line)
            self.found[rating.pop("number")] = rating
        return whole
