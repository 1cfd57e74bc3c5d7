r"""InternVL's form (facts 5.2): `conversations` of `from` and `value`, with `image`, `video` and `clip`.

`image` is a path or a list of paths, `video` a path or a list, `clip` the seconds [start, end] of one clip or
a list with one for each. `<image>` and `<video>` in human turns mark where media stand; with one picture or
clip and no mark, it goes first. Other keys are allowed and ignored, as public annotations carry many.
"""

from __future__ import annotations

from typing import Any

from tessera.chat.message import Message, Role
from tessera.records.forms.turns import place_media, read_media, read_turns
from tessera.records.record import Parse

ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant", "system": "system"}
FOREIGN_KEYS = ("images", "videos", "messages", "texts", "system")


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The record's messages, as far as it is sound."""
    turns = read_turns(parse, fields.get("conversations"), "conversations", ROLES, ("from", "value"))
    return place_media(parse, turns, read_media(parse, fields))


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    return _turns_fit(record) and not _only_llava(record)


def fits_llava(record: dict[str, Any]) -> bool:
    """Whether a record may be of LLaVA's form."""
    return _turns_fit(record)


def _turns_fit(record: dict[str, Any]) -> bool:
    turns = record.get("conversations")
    if not isinstance(turns, list) or any(record.get(key) is not None for key in FOREIGN_KEYS):
        return False
    return all(isinstance(turn, dict) and turn.get("from") in (*ROLES, None) for turn in turns)


def _only_llava(record: dict[str, Any]) -> bool:
    """A clip that `<image>` marks: InternVL would write `<video>`."""
    if record.get("video") is None or record.get("image") is not None:
        return False
    texts = [str(turn.get("value")) for turn in record["conversations"]]
    return any("<image>" in text for text in texts) and not any("<video>" in text for text in texts)
