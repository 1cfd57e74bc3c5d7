"""A JSONL file as a source: only the byte offsets of its lines are kept in memory."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tessera.chat.message import Conversation
from tessera.data.faults import DataError, Reason, RecordFault
from tessera.data.manifest import DatasetSpec
from tessera.data.record import RecordPlace, parse_record

_MARK_OF_ORDER = b"\xef\xbb\xbf"


class JsonlReader:
    """Records of one annotation file by number; blank lines are no records."""

    def __init__(self, spec: DatasetSpec) -> None:
        if not spec.annotation.is_file():
            raise ValueError(f"{spec.name}.annotation: no file {spec.annotation}; correct the path")
        self.spec = spec
        self._offsets, self._lines = _scan(spec.annotation)

    @property
    def name(self) -> str:
        """The dataset's name in the meta file."""
        return self.spec.name

    @property
    def size(self) -> int:
        """How many records."""
        return len(self._lines)

    def place(self, index: int) -> tuple[Path, int]:
        """File and line (from 1) of a record."""
        return self.spec.annotation, int(self._lines[index])

    def record(self, index: int) -> object:
        """The parsed JSON of a line. DataError for wrong UTF-8 or broken JSON."""
        file, line = self.place(index)
        with file.open("rb") as stream:
            stream.seek(int(self._offsets[index]))
            data = stream.readline().removeprefix(_MARK_OF_ORDER)
        try:
            return json.loads(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            detail = f"byte {error.start} of the line is 0x{data[error.start]:02x}"
            raise DataError([RecordFault(file, line, "line", Reason.BAD_UTF8, detail)]) from error
        except json.JSONDecodeError as error:
            detail = f"{error.msg} at character {error.colno}"
            raise DataError([RecordFault(file, line, "line", Reason.BROKEN_JSON, detail)]) from error

    def conversation(self, index: int) -> Conversation:
        """The record as a conversation. DataError with all its faults."""
        file, line = self.place(index)
        place = RecordPlace(file, line, self.spec.root, self.spec.max_dynamic_patch)
        return parse_record(self.record(index), place)

    def without(self, lines: Collection[int]) -> JsonlReader:
        """The same file with some lines (from 1) left out."""
        reader = JsonlReader(self.spec)
        keep = ~np.isin(reader._lines, np.array(sorted(lines), dtype=np.int64))
        reader._offsets, reader._lines = reader._offsets[keep], reader._lines[keep]
        return reader


def _scan(file: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Byte offset and number (from 1) of every line that is not blank."""
    offsets: list[int] = []
    lines: list[int] = []
    position = 0
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                offsets.append(position)
                lines.append(number)
            position += len(line)
    return np.array(offsets, dtype=np.int64), np.array(lines, dtype=np.int64)
