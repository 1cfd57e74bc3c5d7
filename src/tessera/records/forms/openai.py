"""OpenAI's form: `messages` of `role` and `content`, read as chat reads them (`chat.openai`).

A part `image` or `video` that names no file takes the next of the record's `images` or `videos`. `weight: 0`
leaves an answer unsupervised, as in OpenAI's fine-tuning files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tessera.chat.marks import in_place
from tessera.chat.message import IMAGE_MARK, VIDEO_MARK, ClipSource, Message, PictureSource, Text
from tessera.chat.openai import FaultKind, Medium, MessageReader
from tessera.records.faults import Reason
from tessera.records.forms.turns import RecordTurn, check_foreign, check_order, check_text, lost_file
from tessera.records.record import Parse, clips_in, is_empty, listed

KEYS = frozenset(("messages", "images", "videos"))
OF_SWIFT = ("images", "videos", "image", "video", "objects", "system")
"""Keys beside messages of texts that only ms-swift's form reads."""


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
    _check_marks(parse, messages)
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
    entries = [entry for entry in messages if isinstance(entry, dict)]
    if any(isinstance(entry.get("content"), list) for entry in entries):
        return True
    return all(is_empty(record.get(key)) for key in OF_SWIFT) and not any(
        "loss" in entry for entry in entries
    )


def _check_marks(parse: Parse, messages: list[Message]) -> None:
    """Texts are words here, as in chat; but a mark in the place of a file tells of one that was lost."""
    shows = any(not isinstance(part, Text) for message in messages for part in message.parts)
    if parse.text_only and shows:
        parse.fault("messages", "files in a record of text only", advice="remove 'text_only'")
    asked = [(n, message) for n, message in enumerate(messages) if message.role == "user"]
    for number, message in () if parse.text_only else asked:
        where = f"messages[{number}].content"
        if shows:
            check_foreign(parse, where, message.text)
        for mark, key in ((IMAGE_MARK, "image"), (VIDEO_MARK, "video")):
            if in_place(message.text, mark):
                told = "remove the mark: the part itself says where it stands"
                advice = told if shows else lost_file(key, shows)
                parse.fault(where, f"{mark} in a text", Reason.MARK_COUNT, advice)


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
