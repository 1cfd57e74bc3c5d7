r"""OpenAI's form: `messages` of `role` and `content`, a text or a list of typed parts.

Parts: `text`; `image_url` (`{"url"}` or the address itself) or `image`; `video_url` or `video`, with `start`
and `end` in seconds. A part `image` or `video` that names no file takes the next of the record's `images` or
`videos`. A line break follows every picture and clip, as in `chat.openai`. `weight: 0` leaves an answer
unsupervised, as in OpenAI's fine-tuning files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from tessera.chat.message import Conversation, Image, Message, Part, Role, Text, Video
from tessera.records.faults import Reason
from tessera.records.forms.turns import Turn, check_order, check_text, read_clip, with_system
from tessera.records.record import Parse, RecordPlace, listed, short

ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
REFUSED = ("tool_calls", "function_call", "audio")
PICTURES = ("image_url", "image", "input_image")
CLIPS = ("video_url", "video")
WORDS = ("text", "input_text", "output_text")


def parse(record: object, place: RecordPlace) -> Conversation:
    """The record as a conversation. DataError with all faults; media files are not opened."""
    parse = Parse(place)
    fields = parse.fields(record)
    entries = fields.get("messages")
    if not isinstance(entries, list) or not entries:
        parse.fault("messages", Reason.BAD_FIELD, "missing, empty or not a list")
        parse.stop()
    reader = _Reader(parse, iter(listed(fields.get("images"))), iter(listed(fields.get("videos"))))
    messages = [m for n, e in enumerate(entries) if (m := reader.message(f"messages[{n}]", e)) is not None]
    if len(messages) == len(entries):
        check_order(parse, [Turn(m.role, "", f"messages[{n}]") for n, m in enumerate(messages)], "role")
    reader.check_rest()
    if parse.faults:
        parse.stop()
    return with_system(place, _limited(place, messages))


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    messages = record.get("messages")
    if not isinstance(messages, list):
        return False
    typed = any(isinstance(m, dict) and isinstance(m.get("content"), list) for m in messages)
    return typed or not any(record.get(key) for key in ("images", "videos", "image", "video", "objects"))


@dataclass
class _Reader:
    """Messages of one record; pictures and clips beside them are handed out in order."""

    parse: Parse
    images: Iterator[Any]
    videos: Iterator[Any]

    def message(self, where: str, entry: object) -> Message | None:
        if not isinstance(entry, dict):
            self.parse.fault(where, Reason.BAD_FIELD, f"{short(entry)} is not an object")
            return None
        name = entry.get("role")
        if not isinstance(name, str) or name not in ROLES:
            detail = f"{short(name)} is none of {', '.join(ROLES)}"
            self.parse.fault(f"{where}.role", Reason.UNKNOWN_ROLE, detail)
            return None
        for key in REFUSED:
            if entry.get(key):
                self.parse.fault(
                    f"{where}.{key}", Reason.BAD_FIELD, "not understood by these models; leave it out"
                )
        weight = entry.get("weight")
        if weight not in (None, 0, 1):
            self.parse.fault(f"{where}.weight", Reason.BAD_FIELD, f"{short(weight)} is not 0 or 1")
        parts = self.content(f"{where}.content", ROLES[name], entry.get("content"))
        return Message(ROLES[name], parts, trained=weight != 0)

    def content(self, where: str, role: Role, content: object) -> tuple[Part, ...]:
        if isinstance(content, str):
            check_text(self.parse, where, role, content)
            return (Text(content),)
        if not isinstance(content, list) or not content:
            self.parse.fault(where, Reason.BAD_FIELD, f"{short(content)} is neither text nor a list of parts")
            return ()
        found = [self.part(f"{where}[{number}]", entry) for number, entry in enumerate(content)]
        parts = [part for part in found if part is not None]
        media = [part for part in parts if not isinstance(part, Text)]
        if media and role != "user":
            self.parse.fault(where, Reason.BAD_FIELD, f"pictures and clips in a message of the {role}")
        if not media or role != "user":
            text = "".join(part.text for part in parts if isinstance(part, Text))
            check_text(self.parse, where, role, text)
        return _with_line_breaks(parts)

    def part(self, where: str, entry: object) -> Part | None:
        if isinstance(entry, str):
            return Text(entry) if self.parse.sound(where, entry) else None
        kind = entry.get("type") if isinstance(entry, dict) else None
        if isinstance(entry, dict) and kind in WORDS:
            return self.text(where, entry.get("text"))
        if isinstance(entry, dict) and kind in PICTURES:
            return self.picture(where, entry)
        if isinstance(entry, dict) and kind in CLIPS:
            return self.clip(where, entry)
        known = ", ".join((*WORDS, *PICTURES, *CLIPS))
        self.parse.fault(where, Reason.BAD_FIELD, f"type {short(kind)} is none of {known}")
        return None

    def text(self, where: str, value: object) -> Text | None:
        if isinstance(value, str):
            return Text(value) if self.parse.sound(where, value) else None
        self.parse.fault(where, Reason.BAD_FIELD, f"{short(value)} is not a text")
        return None

    def picture(self, where: str, entry: dict[str, Any]) -> Image | None:
        value = _first(entry, ("image_url", "image", "url", "path"), lambda: next(self.images, None))
        source = self.parse.picture(where, value)
        return None if source is None else Image(source)

    def clip(self, where: str, entry: dict[str, Any]) -> Video | None:
        value = _first(entry, ("video_url", "video", "url", "path"), lambda: next(self.videos, None))
        video = read_clip(self.parse, where, value)
        start = _first(entry, ("start", "video_start"), lambda: None)
        end = _first(entry, ("end", "video_end"), lambda: None)
        bounds = self.parse.bounds(where, [start, end])
        return video and bounds and replace(video, start=bounds[0], end=bounds[1])

    def check_rest(self) -> None:
        """Every picture and clip beside the messages must have been asked for."""
        for key, rest in (("images", self.images), ("videos", self.videos)):
            if count := len(list(rest)):
                self.parse.fault(key, Reason.MARK_COUNT, f"{count} files more than parts that take one")


def _first(entry: dict[str, Any], keys: tuple[str, ...], otherwise: Callable[[], Any]) -> Any:
    """The value of the first key that has one."""
    found = [entry[key] for key in keys if entry.get(key) is not None]
    return found[0] if found else otherwise()


def _with_line_breaks(parts: list[Part]) -> tuple[Part, ...]:
    r"""A line break after every picture and clip, as training (`<image>\nquestion`), where none follows."""
    out: list[Part] = []
    for part, following in zip_longest(parts, parts[1:]):
        out.append(part)
        broken = isinstance(following, Text) and following.text.startswith("\n")
        if not isinstance(part, Text) and not broken:
            out.append(Text("\n"))
    return tuple(out)


def _limited(place: RecordPlace, messages: list[Message]) -> tuple[Message, ...]:
    """Pictures share the tile limit of the source."""
    if place.max_tiles is None:
        return tuple(messages)
    count = sum(isinstance(part, Image) for message in messages for part in message.parts)
    share = max(1, place.max_tiles // max(1, count))

    def limited(part: Part) -> Part:
        return replace(part, max_tiles=share) if isinstance(part, Image) else part

    return tuple(replace(m, parts=tuple(map(limited, m.parts))) for m in messages)
