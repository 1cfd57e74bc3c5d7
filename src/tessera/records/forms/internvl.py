r"""InternVL's form (docs/facts/data.md) and LLaVA's: `conversations` of `from` and `value`, `image`, `video`,
`clip`, `audio`.

`image` is a path or a list of paths, `video` a path or a list, `clip` the seconds [start, end] of one clip or
a list with one for each, `audio` a path or a list (docs/facts/audio.md). `<image>`, `<video>` and `<audio>`
in human turns mark where media stand; with one medium and no mark, it goes first. Other keys are allowed, as
public annotations carry many (`forms.unknown`).

LLaVA's own training code reads the same keys otherwise: the one mark of a turn goes to its front, on a line
of its own, wherever it stood, and `<image>` marks a clip where a record has a `video` and no `image`.
"""

from dataclasses import replace
from typing import Any

from tessera.chat.message import IMAGE_MARK, VIDEO_MARK, Message, Role
from tessera.records.forms.preferences.answers import BESIDE
from tessera.records.forms.turns import RecordTurn, place_media, read_media, read_turns
from tessera.records.record import Parse, is_empty

ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant", "system": "system"}
KEYS = frozenset(("conversations", "image", "video", "clip", "audio"))
FOREIGN_KEYS = ("images", "videos", "audios", "messages", "texts", "system", *BESIDE)


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The record's messages, as far as it is sound."""
    turns = read_turns(parse, fields.get("conversations"), "conversations", ROLES)
    return place_media(parse, turns, read_media(parse, fields))


def read_llava(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The messages of a record in LLaVA's form, as far as it is sound."""
    turns = read_turns(parse, fields.get("conversations"), "conversations", ROLES)
    media = read_media(parse, fields)
    if media.images or media.videos:
        turns = [_mark_first(turn, only_clips=not media.images) for turn in turns]
    return place_media(parse, turns, media)


def _mark_first(turn: RecordTurn, only_clips: bool) -> RecordTurn:
    """The only mark of a question, moved to its front."""
    if turn.role != "user":
        return turn
    text = turn.text.replace(IMAGE_MARK, VIDEO_MARK) if only_clips else turn.text
    if text.count(IMAGE_MARK) + text.count(VIDEO_MARK) == 1:
        mark = IMAGE_MARK if IMAGE_MARK in text else VIDEO_MARK
        text = f"{mark}\n{text.replace(mark, '').strip()}".strip()
    return replace(turn, text=text)


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    return fits_llava(record) and not _only_llava(record)


def fits_llava(record: dict[str, Any]) -> bool:
    """Whether a record may be of LLaVA's form."""
    turns = record.get("conversations")
    if not isinstance(turns, list) or any(record.get(key) is not None for key in FOREIGN_KEYS):
        return False
    return all(isinstance(turn, dict) and turn.get("from") in (*ROLES, None) for turn in turns)


def _only_llava(record: dict[str, Any]) -> bool:
    """A clip that `<image>` marks: InternVL would write `<video>`."""
    if is_empty(record.get("video")) or not is_empty(record.get("image")):
        return False
    said = "\n".join(str(turn.get("value")) for turn in record["conversations"])
    return IMAGE_MARK in said and VIDEO_MARK not in said
