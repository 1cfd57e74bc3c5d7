"""A record on its way to a conversation: where it stands, its faults so far, the checks that forms share."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tessera.chat.message import PictureSource
from tessera.chat.openai import inline_bytes, unwrapped
from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.files.places import Location, OutsideRoot, inside

MOST_BYTES = 64 * 2**20
"""Largest record as text, in bytes."""
_SURROGATE = re.compile("[\ud800-\udfff]")
LONGEST = 160
"""Most characters of a value in a message."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 3


@dataclass(frozen=True)
class RecordPlace:
    """Where a record stands and what its source's settings say about it.

    file, line: for messages. root: media paths start here and stay below it. max_tiles: tile limit, shared by
    the record's pictures. system: system text of records that have none. pretraining: no roles, text is text.
    members: files that lie beside the record in a shard, by name.
    """

    file: Location
    line: int
    root: Location
    max_tiles: int | None = None
    system: str | None = None
    pretraining: bool = False
    members: Mapping[str, bytes | Path] = field(default_factory=dict)


@dataclass
class Parse:
    """One record on its way; faults gather here so that all of them are told at once."""

    place: RecordPlace
    faults: list[RecordFault] = field(default_factory=list)

    def fault(self, where: str, reason: Reason, detail: str) -> None:
        """Note a fault."""
        self.faults.append(RecordFault(self.place.file, self.place.line, where, reason, detail))

    def stop(self) -> NoReturn:
        """Raise DataError with all faults."""
        raise DataError(self.faults)

    def fields(self, record: object) -> dict[str, Any]:
        """The record when it is an object; DataError when it is not."""
        if not isinstance(record, dict):
            self.fault("record", Reason.BAD_FIELD, f"{type(record).__name__} instead of an object")
            self.stop()
        return record

    def sound(self, where: str, text: str) -> bool:
        """Whether a text is one that can be written as UTF-8, without NUL; a fault when it isn't."""
        if "\0" in text:
            self.fault(where, Reason.NUL, f"at character {text.index(chr(0)) + 1}")
            return False
        if not text.isascii() and (match := _SURROGATE.search(text)):
            self.fault(
                where, Reason.LONE_SURROGATE, f"\\u{ord(match[0]):04x} at character {match.start() + 1}"
            )
            return False
        return True

    def picture(self, where: str, value: object) -> PictureSource | None:
        """Path, URL or bytes, from text, bytes, `{"bytes", "path"}` or `{"url"}`; None with a fault."""
        value = unwrapped(value)
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str) or value[:5].lower() != "data:":
            return self.file(where, value)
        try:
            return inline_bytes(value)
        except ValueError as error:
            self.fault(where, Reason.BAD_FIELD, str(error))
            return None

    def clip(self, where: str, value: object) -> Location | None:
        """A file or a folder of frames; None with a fault."""
        source = self.file(where, value)
        if isinstance(source, bytes):
            self.fault(where, Reason.BAD_FIELD, "bytes can't be a clip; keep clips in files")
            return None
        return source

    def file(self, where: str, value: object) -> bytes | Location | None:
        """A member of the shard, or the location below the root; None with a fault."""
        value = unwrapped(value)
        if not isinstance(value, str) or not value:
            self.fault(where, Reason.BAD_FIELD, f"{short(value)} is not a path")
            return None
        if not self.sound(where, value):
            return None
        if value in self.place.members:
            return self.place.members[value]
        try:
            return inside(self.place.root, value)
        except OutsideRoot as error:
            self.fault(where, Reason.OUTSIDE_ROOT, str(error))
            return None


def short(value: object) -> str:
    """A value for a message, cut to a line however large or deep it is."""
    text = _SHORT.repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def listed(value: object) -> list[Any]:
    """A value that may be missing, single or a list, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
