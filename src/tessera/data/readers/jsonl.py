"""A JSONL file as a source: only the byte offsets of its lines are kept in memory."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np

from tessera.chat.message import Conversation
from tessera.data.cache import file_stamp
from tessera.data.faults import DataError, Reason, RecordFault
from tessera.data.lines import line_offsets
from tessera.data.manifest import DatasetSpec
from tessera.data.record import RecordPlace, parse_record

_MARK_OF_ORDER = b"\xef\xbb\xbf"


class JsonlReader:
    """Records of one annotation file by number; blank lines are no records."""

    def __init__(self, spec: DatasetSpec, left_out: frozenset[int] = frozenset()) -> None:
        if not spec.annotation.is_file():
            raise ValueError(f"{spec.name}.annotation: no file {spec.annotation}; correct the path")
        self.spec = spec
        self._left_out = left_out
        self._offsets, self._lines = line_offsets(spec.annotation)
        if left_out:
            keep = ~np.isin(self._lines, np.array(sorted(left_out), dtype=np.int64))
            self._offsets, self._lines = self._offsets[keep], self._lines[keep]

    def __reduce__(self) -> tuple[type[JsonlReader], tuple[DatasetSpec, frozenset[int]]]:
        """Another process maps the offsets again instead of receiving a copy."""
        return type(self), (self.spec, self._left_out)

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

    def fingerprint(self) -> str:
        """Path, size and time of change of the annotation, the settings, and the lines that were left out."""
        return f"{file_stamp(self.spec.annotation)} {self.spec.model_dump_json()} {sorted(self._left_out)}"

    def without(self, lines: Collection[int]) -> JsonlReader:
        """The same file with some lines (from 1) left out."""
        return JsonlReader(self.spec, self._left_out | frozenset(lines))
