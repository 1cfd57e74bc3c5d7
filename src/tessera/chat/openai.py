r"""OpenAI-style message lists as conversations: parts stay in the order in which the user put them.

A line break follows every picture and clip, as in training (`<image>\nquestion`), unless the text behind it
begins with one. Nothing else is added: write "Image-1: " before a picture where several are to be told apart.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlparse

import PIL.Image

from tessera.chat.message import Conversation, Image, Message, Part, PictureSource, Role, Text, Video

Fetch = Callable[[str], bytes | str | Path]
"""Gives the bytes of a web address, or a file that holds them."""

Detail = Literal["auto", "low", "high"]
ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
REFUSED = ("tool_calls", "function_call", "audio")
PART_TYPES = ("text", "image_url", "image", "video_url", "video")


def read_messages(
    messages: Sequence[Mapping[str, Any]], root: str | Path | None = None, fetch: Fetch | None = None
) -> Conversation:
    """A conversation from `[{"role": ..., "content": text or [part, ...]}, ...]`.

    Parts: `text`; `image_url` (a file, file: or data: address; `detail` low is one tile, high and auto leave
    the model's own rule; `max_tiles` sets a limit) or `image` (a file, bytes or a PIL picture); `video_url`
    or `video` (a file, a folder of frames or a list of pictures), with `start`, `end` (seconds) and `frames`.
    root: relative paths start here, and no path may lead out of it. fetch: opens http(s) addresses, which are
    refused without it. Raises ValueError that names the message and part, and what to write instead.
    """
    reader = _Reader(None if root is None else Path(root).resolve(), fetch)
    return Conversation(tuple(reader.message(m, f"messages[{i}]") for i, m in enumerate(messages)))


@dataclass(frozen=True)
class _Reader:
    root: Path | None
    fetch: Fetch | None

    def message(self, message: Mapping[str, Any], where: str) -> Message:
        role = ROLES.get(str(message.get("role")))
        if role is None:
            known = ", ".join(ROLES)
            raise ValueError(f"{where}.role: {message.get('role')!r} is unknown; use one of {known}")
        for key in REFUSED:
            if message.get(key):
                raise ValueError(f"{where}.{key}: not understood by these models; leave it out")
        content = message.get("content")
        if isinstance(content, str):
            return Message(role, (Text(content),))
        if not isinstance(content, Sequence) or isinstance(content, bytes):
            raise ValueError(f"{where}.content: {content!r} is neither text nor a list of parts")
        return Message(role, self._parts(content, where))

    def _parts(self, content: Sequence[Any], where: str) -> tuple[Part, ...]:
        parts: list[Part] = []
        for index, entry in enumerate(content):
            part = self._part(entry, f"{where}.content[{index}]")
            broken = isinstance(part, Text) and part.text.startswith("\n")
            if parts and not isinstance(parts[-1], Text) and not broken:
                parts.append(Text("\n"))
            parts.append(part)
        if parts and not isinstance(parts[-1], Text):
            parts.append(Text("\n"))
        return tuple(parts)

    def _part(self, entry: Any, where: str) -> Part:
        if isinstance(entry, str):
            return Text(entry)
        kind = entry.get("type") if isinstance(entry, Mapping) else None
        if kind not in PART_TYPES:
            raise ValueError(f"{where}.type: {kind!r} is unknown; use one of {', '.join(PART_TYPES)}")
        if kind == "text":
            return Text(_text(entry, where))
        if kind not in entry and "url" not in entry and "path" not in entry:
            raise ValueError(f"{where}.{kind}: missing; name the file, or a data: address")
        value = entry.get(kind, entry.get("url", entry.get("path")))
        options = dict(entry)
        if isinstance(value, Mapping):
            options |= value
            value = value.get("url")
        if kind.startswith("image"):
            return Image(self._picture(value, f"{where}.{kind}"), _limit(options, where))
        return self._video(value, options, f"{where}.{kind}")

    def _picture(self, value: Any, where: str) -> PictureSource:
        if isinstance(value, bytes | PIL.Image.Image):
            return value
        address = _address(value, where)
        if address.startswith("data:"):
            return _data(address, where)
        if address.startswith(("http://", "https://")):
            return self._fetched(address, where)
        return self._path(address, where)

    def _video(self, value: Any, options: Mapping[str, Any], where: str) -> Video:
        start, end = (_number(options, key, where) for key in ("start", "end"))
        frames = options.get("frames")
        if frames is not None and (not isinstance(frames, int) or frames < 1):
            raise ValueError(f"{where}: frames={frames!r} is no count; give a whole number from 1")
        if isinstance(value, list | tuple):
            if not all(isinstance(frame, PIL.Image.Image) for frame in value):
                raise ValueError(f"{where}: a list must hold decoded pictures; or name a file or a folder")
            return Video(tuple(value), start, end, frames)
        address = _address(value, where)
        if address.startswith("data:"):
            raise ValueError(f"{where}: a clip cannot be read from a data: address; write it to a file")
        if not address.startswith(("http://", "https://")):
            return Video(self._path(address, where), start, end, frames)
        file = self._fetched(address, where)
        if isinstance(file, bytes):
            raise ValueError(f"{where}: fetch gave bytes; for a clip it must return the path of a file")
        return Video(file, start, end, frames)

    def _fetched(self, address: str, where: str) -> bytes | str | Path:
        if self.fetch is None:
            raise ValueError(
                f"{where}: {address[:80]!r} is on the web and nothing is fetched by itself; download it, or "
                "pass fetch=... to read_messages"
            )
        return self.fetch(address)

    def _path(self, address: str, where: str) -> Path:
        path = Path(unquote(urlparse(address).path) if address.startswith("file:") else address)
        if self.root is None:
            return path
        found = (self.root / path).resolve()
        if not found.is_relative_to(self.root):
            raise ValueError(f"{where}: {str(path)!r} leads out of {str(self.root)!r}; name a file inside it")
        return found


def _text(entry: Mapping[str, Any], where: str) -> str:
    text = entry.get("text")
    if not isinstance(text, str):
        raise ValueError(f"{where}.text: {text!r} is no text")
    return text


def _address(value: Any, where: str) -> str:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"{where}: {value!r} is no address; name a file or a data: address")
    return str(value)


def _data(address: str, where: str) -> bytes:
    """The bytes of `data:image/png;base64,...`."""
    head, comma, body = address.partition(",")
    if not comma or not head.endswith(";base64"):
        raise ValueError(f"{where}: {head[:60]!r} is not base64; write data:image/png;base64,...")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{where}: the data: address is not valid base64 ({error})") from error


def _limit(options: Mapping[str, Any], where: str) -> int | None:
    """Most tiles of a picture: `max_tiles`, one for `detail` low, None for the model's own rule."""
    limit = options.get("max_tiles")
    if limit is not None:
        if not isinstance(limit, int) or limit < 1:
            raise ValueError(f"{where}.max_tiles: {limit!r} is no count; give a whole number from 1")
        return limit
    detail = options.get("detail", "auto")
    if detail not in get_args(Detail):
        known = ", ".join(get_args(Detail))
        raise ValueError(f"{where}.detail: {detail!r} is unknown; use one of {known}, or give max_tiles")
    return 1 if detail == "low" else None


def _number(options: Mapping[str, Any], key: str, where: str) -> float | None:
    value = options.get(key)
    if value is not None and not isinstance(value, int | float):
        raise ValueError(f"{where}: {key}={value!r} is no number of seconds")
    return value
