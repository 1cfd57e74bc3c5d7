"""OpenAI's form: `messages` of `role` and `content`, read as chat reads them (`chat.openai`).

A part `image` or `video` that names no file takes the next of the record's `images` or `videos`. `weight: 0`
leaves an answer unsupervised, as in OpenAI's fine-tuning files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tessera.chat.message import ClipSource, Message, PictureSource, Text
from tessera.chat.openai import FaultKind, Medium, MessageReader
from tessera.records.faults import Reason
from tessera.records.forms.turns import RecordTurn, check_order, check_text
from tessera.records.record import Parse, clips_in, listed


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The record's messages, as far as it is sound."""
    if not (entries := parse.entries("messages", fields.get("messages"))):
        return ()
    beside = {"image": iter(listed(fields.get("images"))), "video": iter(clips_in(fields.get("videos")))}
    reader, messages = _RecordReader(parse, beside), []
    for number, entry in enumerate(entries):
        message = reader.message(f"messages[{number}]", entry)
        if message is not None:
            messages.append(message)
            _check(parse, f"messages[{number}].content", message)
    if len(messages) == len(entries):
        check_order(parse, [RecordTurn(m.role, "", f"messages[{n}]") for n, m in enumerate(messages)], "role")
    for medium, rest in beside.items():
        if count := len(list(rest)):
            parse.fault(f"{medium}s", f"{count} files more than parts that take one", Reason.MARK_COUNT)
    return tuple(messages)


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    messages = record.get("messages")
    if not isinstance(messages, list):
        return False
    typed = any(isinstance(m, dict) and isinstance(m.get("content"), list) for m in messages)
    return typed or not any(record.get(key) for key in ("images", "videos", "image", "video", "objects"))


def _check(parse: Parse, where: str, message: Message) -> None:
    """The faults of what a message says; nothing more of one that could not be read."""
    if message.parts:
        wordless = message.role == "user" and not all(isinstance(part, Text) for part in message.parts)
        check_text(parse, where, message.role, message.text, wordless)


@dataclass(frozen=True)
class _RecordReader(MessageReader):
    """Training gathers all faults; files lie below the root, in the shard, or beside the messages."""

    parse: Parse
    beside: Mapping[str, Iterator[Any]]

    def fault(self, where: str, detail: str, kind: FaultKind = "field") -> None:
        self.parse.fault(where, detail, Reason.UNKNOWN_ROLE if kind == "role" else Reason.BAD_FIELD)

    def unnamed(self, where: str, medium: Medium) -> object:
        return next(self.beside[medium], None)

    def picture(self, where: str, value: object) -> PictureSource | None:
        return self.parse.picture(where, value)

    def clip(self, where: str, value: object) -> ClipSource | None:
        return self.parse.clip(where, value)
