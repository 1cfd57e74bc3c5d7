"""A record on its way to a conversation: where it stands, its faults so far, the checks that forms share."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeGuard, cast

from tessera.audio.sources import SoundSource, sound_source
from tessera.chat.message import ClipSource, Message, PictureSource
from tessera.chat.openai import unwrapped
from tessera.imaging.clips.stills import are_frames
from tessera.imaging.pictures.reading import PictureReading
from tessera.imaging.pictures.sources import inline_bytes, naked_bytes
from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.files.places import Location, OutsideRoot, inside, is_url
from tessera.runtime.shown import shown

MOST_BYTES = 64 * 2**20
"""Largest record as text, in bytes."""
GAPS = ("null", "none", "nan")
"""Texts that exports write where nothing stands."""
FILL_OR_DROP = "name the file, or leave the entry out together with its mark"
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class RecordPlace:
    """Where a record stands and what its source's settings say about it.

    file, line: for messages. root: media paths start here and stay below it. max_tiles: tile limit, shared by
    the record's pictures. system: system text of records that have none. pretraining: no roles, text is text.
    members: files that lie beside the record in a shard, by name. The others are keys of the manifest.
    """

    file: Location
    line: int
    root: Location
    max_tiles: int | None = None
    system: str | None = None
    pretraining: bool = False
    members: Mapping[str, bytes | Path] = field(default_factory=dict)
    pictures: PictureReading | None = None
    text_only: bool = False
    foreign_marks: Literal["fault", "words"] = "fault"
    ignored_keys: tuple[str, ...] = ()
    missing_pictures: Literal["fault", "leave_out"] = "fault"
    train_turn_ends: bool = True


@dataclass
class Parse:
    """One record on its way; faults gather here so that all of them are told at once.

    text_only: the record or its source says that marks are words. alternatives: other answers than the last
    message, which a form of preferences finds.
    """

    place: RecordPlace
    faults: list[RecordFault] = field(default_factory=list)
    text_only: bool = False
    alternatives: tuple[Message, ...] = ()

    def fault(self, where: str, detail: str, reason: Reason = Reason.BAD_FIELD, advice: str = "") -> None:
        """Note a fault."""
        self.faults.append(RecordFault(self.place.file, self.place.line, where, reason, detail, advice))

    def refuse(self, detail: str, reason: Reason = Reason.BAD_FIELD, advice: str = "") -> NoReturn:
        """Raise DataError: this is no record that could be read."""
        self.fault("record", detail, reason, advice)
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
        value = _held(value)
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str) or value in self.place.members:
            return self.file(where, value)
        try:
            found = inline_bytes(value) if value[:5].lower() == "data:" else naked_bytes(value)
            return self.file(where, value) if found is None else found
        except ValueError as error:
            self.fault(where, str(error))
            return None

    def clip(self, where: str, value: object) -> ClipSource | None:
        """A file, a folder of frames, or a list of pictures that are its frames; None with a fault."""
        if isinstance(value, list):
            frames = [self.picture(f"{where}[{number}]", frame) for number, frame in enumerate(value)]
            if not frames:
                self.fault(where, "an empty list of frames")
            return None if not frames or None in frames else cast(tuple[PictureSource, ...], tuple(frames))
        source = self.file(where, value)
        if isinstance(source, bytes):
            self.fault(where, "bytes can't be a clip; keep clips in files")
            return None
        return source

    def audio(self, where: str, value: object) -> SoundSource | None:
        """Path, URL, data: address or bytes of a sound, or `{"bytes", "path"}`; None with a fault."""
        value = _held(value)
        if isinstance(value, bytes):
            return value
        if isinstance(value, str) and value[:5].lower() == "data:":
            try:
                return sound_source(value)
            except ValueError as error:
                self.fault(where, str(error))
                return None
        return self.file(where, value)

    def file(self, where: str, value: object) -> bytes | Location | None:
        """A member of the shard, or the location below the root; None with a fault."""
        value = _held(value)
        if is_empty(value):
            self.fault(where, f"empty, {shown(value)}, where a file is named", advice=FILL_OR_DROP)
            return None
        if not isinstance(value, str):
            self.fault(where, f"{shown(value)} is not a path")
            return None
        if not self.sound(where, value):
            return None
        if value in self.place.members:
            return self.place.members[value]
        if value.lower() in GAPS:
            advice = "write null where there is no file; a file of this name needs ./ in front"
            self.fault(where, f"the text {shown(value)} where a file is named", advice=advice)
            return None
        path = os.path.expanduser(value) if value.startswith("~/") else value
        try:
            return inside(self.place.root, path)
        except OutsideRoot as error:
            self.fault(where, str(error), Reason.OUTSIDE_ROOT, _way_in(self.place.root, path))
            return None


def clips_in(value: object) -> list[Any]:
    """One clip or several, as a list: a list of names that all end like stills is the frames of one clip."""
    return [value] if are_frames(value) else listed(value)


def _way_in(root: Location, path: str) -> str:
    """What helps with a path that lies outside the root; no more than the one folder is ever opened."""
    if is_url(path) and path[:5].lower() != "file:":
        return "download the file and write its path from 'root': nothing is fetched while records are read"
    if isinstance(root, str):
        return "write the path of a file below 'root'"
    anchor = os.path.abspath(root)
    path = path.removeprefix("file://")
    target = os.path.abspath(os.path.join(anchor, path))
    folder = os.path.dirname(target)
    if not os.path.isabs(path) and (shared := os.path.commonpath((anchor, target))) != "/":
        folder = shared
    if folder == "/":
        return "move the file into a folder below 'root'"
    return (
        f"set 'root: {shown(folder, bare=True)}' in the manifest and write paths from there, or move the file"
    )


def is_empty(value: object, depth: int = 4) -> bool:
    """Whether a value says nothing, as data frames fill gaps: null, NaN, blank text, no bytes, and lists and
    objects of nothing else. What is nested deeper than `depth` isn't empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, bytes | bytearray):
        return not value
    if isinstance(value, list | tuple | Mapping) and depth:
        inner = value.values() if isinstance(value, Mapping) else value
        return all(is_empty(entry, depth - 1) for entry in inner)
    return False


def _held(value: object) -> object:
    """What an object with bytes, path or url holds: the first that isn't empty."""
    if isinstance(value, Mapping):
        return unwrapped({key: held for key, held in value.items() if not is_empty(held)})
    return value


def listed(value: object) -> list[Any]:
    """A value that may be missing, empty, single or a list, as a list."""
    if is_empty(value):
        return []
    return value if isinstance(value, list) else [value]
