r"""LLaVA's form: InternVL's keys, read as LLaVA's own training code reads them.

The one mark of a turn goes to its front, on a line of its own, wherever it stood; `<image>` marks a clip,
too, where a record has a `video` and no `image`. Everything else is as in InternVL's form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tessera.chat.message import Conversation
from tessera.records.forms.internvl import ROLES
from tessera.records.forms.turns import (
    MARKS,
    Media,
    Turn,
    conversation_of,
    read_images,
    read_turns,
    read_videos,
)
from tessera.records.record import Parse, RecordPlace


def parse(record: object, place: RecordPlace) -> Conversation:
    """The record as a conversation. DataError with all faults; media files are not opened."""
    parse = Parse(place)
    fields = parse.fields(record)
    turns: Sequence[Turn] = read_turns(
        parse, fields.get("conversations"), "conversations", ROLES, ("from", "value")
    )
    media = Media(read_images(parse, fields, "image"), read_videos(parse, fields, "video"))
    if media.videos and not media.images:
        turns = [replace(t, text=t.text.replace("<image>", "<video>")) if _asks(t) else t for t in turns]
    return conversation_of(parse, [_mark_first(turn) for turn in turns], media)


def _asks(turn: Turn) -> bool:
    return turn.role == "user"


def _mark_first(turn: Turn) -> Turn:
    """The only mark of a question, moved to its front."""
    found = [mark for mark in MARKS for _ in range(turn.text.count(mark))]
    if not _asks(turn) or len(found) != 1:
        return turn
    return replace(turn, text=f"{found[0]}\n{turn.text.replace(found[0], '').strip()}".strip())
