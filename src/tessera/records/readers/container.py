"""What a file of records must offer, whatever it is: lines, an array, rows or a shard."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.files.cache import WHOLE, digest_of
from tessera.records.files.places import Location
from tessera.records.files.remote import stamp
from tessera.records.record import MOST_BYTES
from tessera.runtime.json_file import deeper_than

DEEPEST = 64
"""Levels of lists and objects in a record."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Container(ABC):
    """Records of one file by number, in memory that doesn't grow with their number.

    file: path or URL, for messages. Most files have no lines: a record's place is its number, from 1.
    """

    def __init__(self, file: Location) -> None:
        self.file = file
        self._seen = _times(file)
        self._content = digest_of(file) if isinstance(file, Path) else None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def record(self, index: int) -> object:
        """The record as lists, objects, texts and numbers. DataError when it can't be read."""

    def line(self, index: int) -> int:
        """Where a record stands, from 1."""
        return index + 1

    def index(self, line: int) -> int | None:
        """The record that stands there, None when there is none."""
        return line - 1 if 1 <= line <= len(self) else None

    def members(self, index: int) -> Mapping[str, bytes | Path]:
        """Files that lie beside the record, by name."""
        return {}

    def check_unchanged(self, index: int) -> None:
        """DataError when the file is not the one that was opened: offsets would lead anywhere in it."""
        if (now := _times(self.file)) == self._seen or not isinstance(self.file, Path):
            return
        # Small files may be written again as they were; of large ones a digest doesn't see all.
        if self.file.stat().st_size > WHOLE or digest_of(self.file) != self._content:
            raise fault(self.file, self.line(index), Reason.CHANGED, "other size or time of change")
        self._seen = now

    def stamp(self) -> str:
        """Fingerprint of the file."""
        return stamp(self.file)


def _times(file: Location) -> tuple[int, int] | None:
    """Size and time of change of a local file; a remote one is copied, or told by its storage."""
    if isinstance(file, str):
        return None
    facts = file.stat()
    return facts.st_size, facts.st_mtime_ns


def parse_json(data: bytes, file: Location, line: int) -> object:
    """The value of one record's text. DataError for anything that is not one JSON value in UTF-8."""
    data = data.removeprefix(BYTE_ORDER_MARK)
    if len(data) > MOST_BYTES:
        raise fault(file, line, Reason.LONG_RECORD, f"more than {MOST_BYTES} bytes")
    try:
        value: object = json.loads(data.decode("utf-8"))
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
    if deeper_than(value, DEEPEST):
        raise fault(file, line, Reason.DEEP_JSON, f"more than {DEEPEST} levels")
    return value


def fault(file: Location, line: int, reason: Reason, detail: str) -> DataError:
    """One fault of the whole record, as an error."""
    return DataError([RecordFault(file, line, "line", reason, detail)])
