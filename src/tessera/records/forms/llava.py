r"""LLaVA's form: InternVL's keys, read as LLaVA's own training code reads them.

The one mark of a turn goes to its front, on a line of its own, wherever it stood; `<image>` marks a clip,
too, where a record has a `video` and no `image`. Everything else is as in InternVL's form.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tessera.chat.message import Message
from tessera.records.forms.internvl import ROLES
from tessera.records.forms.turns import MARKS, RecordTurn, place_media, read_media, read_turns
from tessera.records.record import Parse


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The record's messages, as far as it is sound."""
    turns = read_turns(parse, fields.get("conversations"), "conversations", ROLES, ("from", "value"))
    media = read_media(parse, fields)
    only_clips = bool(media.videos) and not media.images
    return place_media(parse, [_mark_first(turn, only_clips) for turn in turns], media)


def _mark_first(turn: RecordTurn, only_clips: bool) -> RecordTurn:
    """The only mark of a question, moved to its front."""
    if turn.role != "user":
        return turn
    text = turn.text.replace("<image>", "<video>") if only_clips else turn.text
    found = [mark for mark in MARKS for _ in range(text.count(mark))]
    if len(found) == 1:
        text = f"{found[0]}\n{text.replace(found[0], '').strip()}".strip()
    return replace(turn, text=text)
