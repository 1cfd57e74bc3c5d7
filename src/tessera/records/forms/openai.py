"""OpenAI's form: `messages` of `role` and `content`, read as chat reads them (`chat.openai`).

A part `image` or `video` that names no file takes the next of the record's `images` or `videos`. `weight: 0`
leaves an answer unsupervised, as in OpenAI's fine-tuning files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tessera.audio.sources import SoundSource
from tessera.chat.marks import in_place
from tessera.chat.message import (
    AUDIO_MARK,
    IMAGE_MARK,
    VIDEO_MARK,
    ClipSource,
    Message,
    PictureSource,
    Text,
)
from tessera.chat.openai import FaultKind, MediumName, MessageReader
from tessera.records.faults import Reason
from tessera.records.forms.preferences.answers import (
    BESIDE,
    Placed,
    chosen_turn,
    is_given,
    is_whole_pair,
    parting,
    same_media,
    set_rejected,
)
from tessera.records.forms.preferences.answers import KEYS as ANSWERS
from tessera.records.forms.turns import RecordTurn, check_foreign, check_order, check_text, lost_file
from tessera.records.record import Parse, clips_in, is_empty, listed

KEYS = frozenset(("messages", "images", "videos", "audios", *ANSWERS))
OF_SWIFT = ("images", "videos", "image", "video", "objects", "system")
"""Keys beside messages of texts that only ms-swift's form reads."""


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The record's messages, as far as it is sound."""
    if not (entries := parse.entries("messages", fields.get("messages"))):
        return ()
    placed = [(f"messages[{number}]", entry) for number, entry in enumerate(entries)]
    return read_placed(parse, [*placed, *chosen_turn(parse, fields)], fields, _rejected(parse, fields))


def read_placed(
    parse: Parse, placed: Sequence[Placed], fields: Mapping[str, Any], rejected: Placed | None = None
) -> tuple[Message, ...]:
    """The same of messages with their places; `parse` gets the answer rejected in place of the last."""
    beside = {"image": iter(listed(fields.get("images"))), "video": iter(clips_in(fields.get("videos")))}
    beside["audio"] = iter(listed(fields.get("audios")))
    reader, messages = _RecordReader(parse, beside), list[Message]()
    turns: list[RecordTurn] = []
    for where, entry in placed:
        message = reader.message(where, entry)
        if message is not None:
            messages.append(message)
            turns.append(RecordTurn(message.role, message.text, where, message.trained))
            _check(parse, f"{where}.content", message)
    _check_marks(parse, messages, [turn.where for turn in turns])
    if len(messages) == len(placed):
        check_order(parse, turns, "role")
    if rejected is not None and turns:
        _read_rejected(parse, reader, rejected, turns[-1])
    for medium, rest in beside.items():
        if count := len(list(rest)):
            parse.fault(f"{medium}s", f"{count} files more than parts that take one", Reason.MARK_COUNT)
    return tuple(messages)


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    messages = record.get("messages")
    if not isinstance(messages, list) or is_whole_pair(record):
        return False
    entries = [entry for entry in messages if isinstance(entry, dict)]
    if any(isinstance(entry.get("content"), list) for entry in entries):
        return True
    if any(is_given(record.get(key)) for key in ANSWERS):
        return False
    return all(is_empty(record.get(key)) for key in OF_SWIFT) and not any(
        "loss" in entry for entry in entries
    )


def _rejected(parse: Parse, fields: Mapping[str, Any]) -> Placed | None:
    """The answer that is rejected, as a message, and where it stands."""
    key = next((key for key in BESIDE[1:] if is_given(fields.get(key))), None)
    if key is None:
        return None
    for medium in ("images", "videos"):
        same_media(parse, fields, medium)
    value = fields[key]
    if key == "rejected_messages" and isinstance(value, list):
        if found := parting(fields["messages"], value):
            parse.fault(f"{key}[{found[0]}]", found[1], Reason.OTHER_PROMPT)
        return f"{key}[{len(value) - 1}]", value[-1]
    return key, {"role": "assistant", "content": value} if key == "rejected_response" else value


def _read_rejected(parse: Parse, reader: MessageReader, rejected: Placed, chosen: RecordTurn) -> None:
    """Give `parse` the rejected answer."""
    where, entry = rejected
    message = reader.message(where, entry)
    if message is None or chosen.role != "assistant":
        return
    if message.role != "assistant" or not all(isinstance(part, Text) for part in message.parts):
        advice = "let it be one answer of the assistant"
        parse.fault(where, "no answer of words alone", Reason.ROLE_ORDER, advice)
        return
    _check(parse, f"{where}.content", message)
    set_rejected(parse, chosen, where, message.text)


def _check_marks(parse: Parse, messages: list[Message], places: Sequence[str]) -> None:
    """Texts are words here, as in chat; but a mark in the place of a file tells of one that was lost."""
    shows = any(not isinstance(part, Text) for message in messages for part in message.parts)
    if parse.text_only and shows:
        parse.fault("messages", "files in a record of text only", advice="remove 'text_only'")
    asked = [(place, m) for place, m in zip(places, messages, strict=True) if m.role == "user"]
    for place, message in () if parse.text_only else asked:
        where = f"{place}.content"
        if shows:
            check_foreign(parse, where, message.text)
        for mark, key in ((IMAGE_MARK, "image"), (VIDEO_MARK, "video"), (AUDIO_MARK, "audio")):
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

    def unnamed(self, where: str, medium: MediumName) -> object:
        return next(self.beside[medium], None)

    def picture(self, where: str, value: object) -> PictureSource | None:
        return self.parse.picture(where, value)

    def clip(self, where: str, value: object) -> ClipSource | None:
        return self.parse.clip(where, value)

    def sound(self, where: str, value: object) -> SoundSource | None:
        return self.parse.audio(where, value)
