"""ShareGPT's form: `conversations` of `from` and `value`, or `conversation` of question and answer pairs.

`images` and `videos` (or `image` and `video`) are lists of files, marked by `<image>` and `<video>` in the
questions as LLaMA-Factory has it; `system` is a text. Tool calls are refused: the models know no such role.
"""

from __future__ import annotations

from typing import Any

from tessera.chat.message import Conversation, Role
from tessera.data.faults import Reason
from tessera.data.forms.turns import (
    Media,
    Turn,
    check_order,
    check_text,
    conversation_of,
    read_images,
    read_turns,
    read_videos,
)
from tessera.data.record import Parse, RecordPlace, short

ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}
PAIR: dict[str, Role] = {"human": "user", "assistant": "assistant"}


def parse(record: object, place: RecordPlace) -> Conversation:
    """The record as a conversation. DataError with all faults; media files are not opened."""
    parse = Parse(place)
    fields = parse.fields(record)
    if "conversations" not in fields and "conversation" in fields:
        turns = _pairs(parse, fields["conversation"])
    else:
        turns = read_turns(parse, fields.get("conversations"), "conversations", ROLES, ("from", "value"))
    return conversation_of(parse, with_system_text(parse, fields, turns), read_media(parse, fields))


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    if isinstance(record.get("conversation"), list):
        return True
    turns = record.get("conversations")
    return isinstance(turns, list) and all(isinstance(turn, dict) and "content" not in turn for turn in turns)


def read_media(parse: Parse, fields: dict[str, Any]) -> Media:
    """Pictures and clips under their plural or singular keys."""
    images = "images" if fields.get("images") is not None else "image"
    videos = "videos" if fields.get("videos") is not None else "video"
    return Media(read_images(parse, fields, images), read_videos(parse, fields, videos), (images, videos))


def with_system_text(parse: Parse, fields: dict[str, Any], turns: list[Turn]) -> list[Turn]:
    """`system` beside the turns as a leading turn; an empty one is none."""
    text = fields.get("system")
    if text is None or text == "":
        return turns
    if not isinstance(text, str):
        parse.fault("system", Reason.BAD_FIELD, f"{short(text)} is not a text")
    elif turns and turns[0].role == "system":
        parse.fault("system", Reason.ROLE_ORDER, "the turns begin with a system text, too")
    elif parse.sound("system", text):
        return [Turn("system", text, "system"), *turns]
    return turns


def _pairs(parse: Parse, entries: object) -> list[Turn]:
    """`[{"human": question, "assistant": answer}, …]`."""
    if not isinstance(entries, list) or not entries:
        parse.fault("conversation", Reason.BAD_FIELD, "missing, empty or not a list")
        return []
    turns = []
    for number, entry in enumerate(entries):
        where = f"conversation[{number}]"
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in PAIR):
            parse.fault(where, Reason.BAD_FIELD, "not an object with the texts 'human' and 'assistant'")
            return []
        for key, role in PAIR.items():
            check_text(parse, f"{where}.{key}", role, entry[key])
            turns.append(Turn(role, entry[key], f"{where}.{key}"))
    check_order(parse, turns, "role")
    return turns
