"""A record on its way to a conversation: where it stands, its faults so far, the checks that forms share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

from tessera.chat.message import PictureSource
from tessera.chat.openai import inline_bytes, unwrapped
from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.files.places import Location, OutsideRoot, inside
from tessera.runtime.shown import shown

MOST_BYTES = 64 * 2**20
"""Largest record as text, in bytes."""
SURROGATE = re.compile("[\ud800-\udfff]")


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

    def fault(self, where: str, detail: str, reason: Reason = Reason.BAD_FIELD) -> None:
        """Note a fault."""
        self.faults.append(RecordFault(self.place.file, self.place.line, where, reason, detail))

    def refuse(self, detail: str, reason: Reason = Reason.BAD_FIELD) -> NoReturn:
        """Raise DataError: this is no record that could be read."""
        self.fault("record", detail, reason)
        raise DataError(self.faults)

    def check(self) -> None:
        """Raise DataError with all faults, if there are any."""
        if self.faults:
            raise DataError(self.faults)

    def is_text(self, value: object, where: str) -> TypeGuard[str]:
        """Whether a value is a text; a fault when it isn't."""
        if not isinstance(value, str):
            self.fault(where, f"{shown(value)} is not a text")
        return isinstance(value, str)

    def entries(self, where: str, value: object) -> list[Any]:
        """A list with something in it; an empty one with a fault."""
        if isinstance(value, list) and value:
            return value
        self.fault(where, "missing, empty or not a list")
        return []

    def sound(self, where: str, text: str) -> bool:
        """Whether a text is one that can be written as UTF-8, without NUL; a fault when it isn't."""
        if "\0" in text:
            self.fault(where, f"at character {text.index(chr(0)) + 1}", Reason.NUL)
            return False
        if not text.isascii() and (match := SURROGATE.search(text)):
            detail = f"\\u{ord(match[0]):04x} at character {match.start() + 1}"
            self.fault(where, detail, Reason.LONE_SURROGATE)
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
            self.fault(where, str(error))
            return None

    def clip(self, where: str, value: object) -> Location | None:
        """A file or a folder of frames; None with a fault."""
        source = self.file(where, value)
        if isinstance(source, bytes):
            self.fault(where, "bytes can't be a clip; keep clips in files")
            return None
        return source

    def file(self, where: str, value: object) -> bytes | Location | None:
        """A member of the shard, or the location below the root; None with a fault."""
        value = unwrapped(value)
        if not isinstance(value, str) or not value:
            self.fault(where, f"{shown(value)} is not a path")
            return None
        if not self.sound(where, value):
            return None
        if value in self.place.members:
            return self.place.members[value]
        try:
            return inside(self.place.root, value)
        except OutsideRoot as error:
            self.fault(where, str(error), Reason.OUTSIDE_ROOT)
            return None


def listed(value: object) -> list[Any]:
    """A value that may be missing, single or a list, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
