r"""The only reader of OpenAI-style messages, for chat and for training records alike.

Parts stay in the order in which the user put them. A line break follows every picture, clip and sound, as in
training (`<image>\nquestion`), unless the text behind it begins with one or has `line_break: false`.
Nothing else is added: write "Image-1: " before a picture where several are to be told apart. What differs
between chat and training is a `MessageReader`'s own: what becomes of a mistake, and where files may lie.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from tessera.audio.sources import SoundSource, sound_source
from tessera.chat.message import (
    Audio,
    ClipSource,
    Conversation,
    Image,
    Message,
    Part,
    PictureSource,
    Role,
    Text,
    Video,
    with_line_breaks,
)
from tessera.chat.sounds.parts import bounds_in, inline_sound
from tessera.chat.tool_calls import spelled
from tessera.imaging.frames import MOST_FRAMES, rate_problem
from tessera.imaging.grid import tiles_problem
from tessera.imaging.pictures.sources import ON_THE_WEB, local_path, on_the_web, picture_source
from tessera.runtime.shown import shown

Fetch = Callable[[str], bytes | str | Path]
"""Gives the bytes of a web address, or a file that holds them."""

DETAILS = ("auto", "low", "high")
FaultKind = Literal["field", "role"]
MediumName = Literal["image", "video", "audio"]
ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
REFUSED = ("tool_calls", "function_call", "audio")
WORDS = ("text", "input_text", "output_text")
PICTURES = ("image_url", "image", "input_image")
CLIPS = ("video_url", "video")
SOUNDS = ("input_audio", "audio_url", "audio")
PART_TYPES = (*WORDS, *PICTURES, *CLIPS, *SOUNDS)
MOST_SECONDS = 1e7
"""Largest bound of a clip: some hundred days."""


def read_messages(
    messages: Sequence[Mapping[str, Any]], root: str | Path | None = None, fetch: Fetch | None = None
) -> Conversation:
    """A conversation from `[{"role": ..., "content": text or [part, ...]}, ...]`.

    Parts: `text`; `image_url` (a file, file: or data: address, or base64 alone; `detail` low is one tile,
    high and auto leave the model's own rule; `max_tiles` sets a limit; the tiles of pictures in `joined`,
    `joined_tiles` each, follow under the same mark) or `image` (these, bytes, an open file or a
    PIL picture); `video_url` or `video` (a file, a folder of frames or a list of pictures), with `start`,
    `end` (seconds), `frames` and `fps` (so many a second, and `frames` at the most).
    `input_audio` (base64 in `data`, and its `format`), `audio_url` or `audio` (a file, a data: address or
    bytes), with `start` and `end`.
    `input_text`, `output_text` and `input_image` are names of the same. `weight: 0` leaves answers untrained.
    `tool_calls` of the assistant and messages of the role `tool` become text (`tool_calls.py`).
    root: relative paths start here, and no path may lead out of it. fetch: opens http(s) addresses, which are
    refused without it. Raises ValueError that names the message and part, and what to write instead.
    """
    reader = _ChatReader(None if root is None else Path(root).resolve(), fetch)
    read = (reader.message(f"messages[{number}]", entry) for number, entry in spelled(messages))
    return Conversation(tuple(message for message in read if message is not None))


class MessageReader(ABC):
    """Reads messages one at a time; a subclass takes the faults and finds what a part names."""

    @abstractmethod
    def fault(self, where: str, detail: str, kind: FaultKind = "field") -> None:
        """Take a fault: raise it, or note it; what is faulty is then left out."""

    @abstractmethod
    def unnamed(self, where: str, medium: MediumName) -> object:
        """The file of a part that names none; None with a fault."""

    @abstractmethod
    def picture(self, where: str, value: object) -> PictureSource | None:
        """The picture that a part names; None with a fault."""

    @abstractmethod
    def clip(self, where: str, value: object) -> ClipSource | None:
        """The clip that a part names; None with a fault."""

    @abstractmethod
    def sound(self, where: str, value: object) -> SoundSource | None:
        """The sound that a part names; None with a fault."""

    def message(self, where: str, entry: object) -> Message | None:
        """One message; None with a fault when its role cannot be read."""
        told = _told(entry)
        role = ROLES.get(str(told.get("role")))
        if role is None:
            detail = f"{shown(told.get('role'))} is unknown; use one of {', '.join(ROLES)}"
            self.fault(f"{where}.role", detail, "role")
            return None
        for key in REFUSED:
            if told.get(key):
                self.fault(f"{where}.{key}", "not understood by these models; leave it out")
        if (weight := told.get("weight")) not in (None, 0, 1):
            self.fault(f"{where}.weight", f"{shown(weight)} is not 0 or 1")
        return Message(role, self._parts(f"{where}.content", role, told.get("content")), weight != 0)

    def _parts(self, where: str, role: Role, content: object) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (Text(content),)
        if role == "assistant" and content is None:
            return (Text(""),)  # what engines return for an answer of no words
        if not isinstance(content, list | tuple) or not content:
            self.fault(where, f"{shown(content)} is neither text nor a list of parts")
            return ()
        read = [(self._part(f"{where}[{number}]", entry), entry) for number, entry in enumerate(content)]
        known = [(part, entry) for part, entry in read if part is not None]
        bare = {n for n, (_, entry) in enumerate(known) if _told(entry).get("line_break") is False}
        parts = with_line_breaks([part for part, _ in known], bare)
        if role != "user" and not all(isinstance(part, Text) for part in parts):
            self.fault(where, f"the {role} shows pictures, clips or sounds; put them in a user turn")
        return parts

    def _part(self, where: str, entry: object) -> Part | None:
        if isinstance(entry, str):
            return Text(entry)
        told = _told(entry)
        kind = told.get("type")
        if kind in WORDS:
            text = told.get("text")
            if isinstance(text, str):
                return Text(text)
            self.fault(f"{where}.text", f"{shown(text)} is no text")
        elif kind in PICTURES:
            value, options = self._named(f"{where}.{kind}", "image", told)
            limit = self._limit(where, options)
            source = self.picture(f"{where}.{kind}", value)
            return None if source is None else self._image(where, source, limit, options)
        elif kind in CLIPS:
            return self._clip(f"{where}.{kind}", *self._named(f"{where}.{kind}", "video", told))
        elif kind in SOUNDS:
            return self._sound(f"{where}.{kind}", str(kind), told)
        else:
            self.fault(f"{where}.type", f"{shown(kind)} is unknown; use one of {', '.join(PART_TYPES)}")
        return None

    def _image(
        self, where: str, source: PictureSource, limit: int | None, options: Mapping[str, Any]
    ) -> Image:
        """A picture, and those that share its mark."""
        given, tiles = options.get("joined") or (), options.get("joined_tiles")
        if not isinstance(given, list | tuple) or any(map(on_the_web, given)):
            self.fault(f"{where}.joined", f"{shown(given)} is no list of files or data: addresses")
            return Image(source, limit)
        if tiles is not None and (problem := tiles_problem(tiles)):
            self.fault(f"{where}.joined_tiles", problem)
            tiles = None
        read = [self.picture(f"{where}.joined[{number}]", each) for number, each in enumerate(given)]
        return Image(
            source, limit, joined=tuple(each for each in read if each is not None), joined_tiles=tiles
        )

    def _named(
        self, where: str, medium: MediumName, entry: Mapping[str, Any]
    ) -> tuple[object, Mapping[str, Any]]:
        """What a part names, and its options, which stand beside the name or with the address."""
        names = {"image": PICTURES, "video": CLIPS, "audio": SOUNDS[1:]}[medium]
        value = _first(entry, (*names, "url", "path"))
        if value is None:
            value = self.unnamed(where, medium)
        if not isinstance(value, Mapping):
            return value, entry
        options = {**entry, **{key: told for key, told in value.items() if told is not None}}
        return unwrapped(value), options

    def _clip(self, where: str, value: object, options: Mapping[str, Any]) -> Video | None:
        start, end = (_first(options, (key, f"video_{key}")) for key in ("start", "end"))
        frames, fps = _first(options, ("frames", "nframes")), options.get("fps")
        if problem := bounds_problem(start, end) or (fps is not None and rate_problem(fps)):
            self.fault(where, problem)
        if frames is not None and not _is_count(frames):
            self.fault(where, f"frames={shown(frames)} is no count; give a whole number from 1")
        elif frames is not None and frames > MOST_FRAMES:
            self.fault(where, f"frames={shown(frames)} are too many; ask for {MOST_FRAMES} at the most")
        source = self.clip(where, value)
        return None if source is None else Video(source, start, end, frames, fps)

    def _sound(self, where: str, kind: str, told: Mapping[str, Any]) -> Audio | None:
        source: SoundSource | None
        if kind == SOUNDS[0]:
            inline, options = self._inline(where, told.get(kind)), told
            source = None if inline is None else self.sound(where, inline)
        else:
            value, options = self._named(where, "audio", told)
            source = self.sound(where, value)
        start, end = bounds_in(options)
        if problem := bounds_problem(start, end):
            self.fault(where, problem)
        return None if source is None else Audio(source, start, end)

    def _inline(self, where: str, value: object) -> bytes | None:
        try:
            return inline_sound(value)
        except ValueError as error:
            self.fault(where, str(error))
            return None

    def _limit(self, where: str, options: Mapping[str, Any]) -> int | None:
        """Most tiles of a picture: `max_tiles`, one for `detail` low, None for the model's own rule."""
        limit, detail = options.get("max_tiles"), options.get("detail")
        if limit is not None and (problem := tiles_problem(limit)):
            self.fault(f"{where}.max_tiles", problem)
        elif limit is None and detail not in (None, *DETAILS):
            choices = f"use one of {', '.join(DETAILS)}, or give max_tiles"
            self.fault(f"{where}.detail", f"{shown(detail)} is unknown; {choices}")
        return 1 if limit is None and detail == "low" else limit


@dataclass(frozen=True)
class _ChatReader(MessageReader):
    """Chat stops at the first fault; files may lie anywhere, or below `root`."""

    root: Path | None
    fetch: Fetch | None

    def fault(self, where: str, detail: str, kind: FaultKind = "field") -> NoReturn:
        raise ValueError(f"{where}: {detail}")

    def unnamed(self, where: str, medium: MediumName) -> object:
        self.fault(where, "missing; name the file, or a data: address")

    def picture(self, where: str, value: object) -> PictureSource:
        if on_the_web(value):
            return self._fetched(where, str(value))
        try:
            source = picture_source(value)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        return self._below_root(where, source) if isinstance(source, Path) else source

    def clip(self, where: str, value: object) -> ClipSource:
        if isinstance(value, list | tuple):
            if not value:
                self.fault(where, "an empty list of frames; name at least one picture")
            return tuple(self.picture(f"{where}[{number}]", frame) for number, frame in enumerate(value))
        address = self._address(where, value)
        if address.startswith("data:"):
            self.fault(where, "a clip cannot be read from a data: address; write it to a file")
        file = self._file(where, address)
        if isinstance(file, bytes):
            self.fault(where, "fetch gave bytes; for a clip it must return the path of a file")
        return file

    def sound(self, where: str, value: object) -> SoundSource:
        if on_the_web(value):
            return self._fetched(where, str(value))
        try:
            source = sound_source(value)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        return self._below_root(where, source) if isinstance(source, Path) else source

    def _address(self, where: str, value: object) -> str:
        if not isinstance(value, str | Path) or not str(value):
            self.fault(where, f"{shown(value)} is no address; name a file or a data: address")
        return str(value)

    def _file(self, where: str, address: str) -> bytes | str | Path:
        if on_the_web(address):
            return self._fetched(where, address)
        try:
            return self._below_root(where, local_path(address))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    def _fetched(self, where: str, address: str) -> bytes | str | Path:
        if self.fetch is None:
            detail = f"{ON_THE_WEB}, or pass fetch=... to read_messages"
            self.fault(where, f"{shown(address)} {detail}")
        return self.fetch(address)

    def _below_root(self, where: str, path: Path) -> Path:
        if self.root is None:
            return path
        found = (self.root / path).resolve()
        if not found.is_relative_to(self.root):
            self.fault(where, f"{shown(path)!r} leads out of {str(self.root)!r}; name a file inside it")
        return found


def unwrapped(value: object) -> object:
    """What an object with bytes, path or url holds; pictures in parquet files come so."""
    return _first(value, ("bytes", "path", "url")) if isinstance(value, Mapping) else value


def bounds_problem(start: object, end: object) -> str | None:
    """What is wrong with the bounds of a clip in seconds, either of which may be None; None when they fit."""
    for name, second in (("start", start), ("end", end)):
        if second is None:
            continue
        if type(second) not in (int, float) or not 0 <= second <= MOST_SECONDS:  # type: ignore[operator]
            return f"{name}={shown(second)} is no number of seconds from 0 to {MOST_SECONDS:.0f}"
    if start is not None and end is not None and start >= end:  # type: ignore[operator]
        return f"start={start} is not before end={end}"
    return None


def _told(entry: object) -> Mapping[str, Any]:
    return entry if isinstance(entry, Mapping) else {}


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _first(entry: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """The value of the first key that has one."""
    return next((entry[key] for key in keys if entry.get(key) is not None), None)
