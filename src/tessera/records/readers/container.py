"""What a file of records must offer, whatever it is: lines, an array, rows or a shard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.files.places import Location
from tessera.records.record import MOST_BYTES

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Container(Protocol):
    """Records of one file by number, in memory that doesn't grow with their number."""

    @property
    def file(self) -> Location:
        """Path or URL, for messages."""

    def __len__(self) -> int: ...

    def line(self, index: int) -> int:
        """Where a record stands, from 1: its line, or its number where a file has no lines."""

    def index(self, line: int) -> int | None:
        """The record that stands there, None when there is none."""

    def record(self, index: int) -> object:
        """The record as lists, objects, texts and numbers. DataError when it can't be read."""

    def members(self, index: int) -> Mapping[str, bytes | Path]:
        """Files that lie beside the record, by name."""

    def stamp(self) -> str:
        """Another text when the file is another one."""


class Numbered:
    """Places of records that are counted from 1, and no files beside them: what most containers have."""

    def __len__(self) -> int:
        raise NotImplementedError

    def line(self, index: int) -> int:
        """The record's number."""
        return index + 1

    def index(self, line: int) -> int | None:
        """The record with a number."""
        return line - 1 if 1 <= line <= len(self) else None

    def members(self, index: int) -> Mapping[str, bytes | Path]:
        """None."""
        return {}


def parse_json(data: bytes, file: Location, line: int) -> object:
    """The value of one record's text. DataError for anything that is not one JSON value in UTF-8."""
    data = data.removeprefix(BYTE_ORDER_MARK)
    if len(data) > MOST_BYTES:
        raise fault(file, line, Reason.LONG_RECORD, f"more than {MOST_BYTES} bytes")
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        detail = f"byte {error.start} of the line is 0x{data[error.start]:02x}"
        raise fault(file, line, Reason.BAD_UTF8, detail) from error
    except json.JSONDecodeError as error:
        position = error.colno if error.lineno == 1 else error.pos + 1
        raise fault(file, line, Reason.BROKEN_JSON, f"{error.msg} at character {position}") from error
    except RecursionError as error:
        raise fault(file, line, Reason.DEEP_JSON, f"{len(data)} bytes") from error
    except ValueError as error:  # a number of more digits than Python reads
        raise fault(file, line, Reason.BROKEN_JSON, str(error).partition(";")[0]) from error


def fault(file: Location, line: int, reason: Reason, detail: str) -> DataError:
    """One fault of the whole record, as an error."""
    return DataError([RecordFault(file, line, "line", reason, detail)])
