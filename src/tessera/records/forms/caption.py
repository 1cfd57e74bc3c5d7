"""Pairs of picture and caption: `image` (or `images`, `video`) and `caption`, as in image-text shards.

For pre-training the caption follows the picture and is trained like any text; otherwise the picture alone
asks and the caption is the answer.
"""

from __future__ import annotations

from typing import Any

from tessera.chat.message import Conversation, Message, Part, Text, say
from tessera.records.faults import Reason
from tessera.records.forms.sharegpt import read_media
from tessera.records.forms.turns import check_text, with_system
from tessera.records.record import Parse, RecordPlace, short


def parse(record: object, place: RecordPlace) -> Conversation:
    """The pair as a conversation. DataError with all faults; media files are not opened."""
    parse = Parse(place)
    fields = parse.fields(record)
    media = read_media(parse, fields)
    shown: tuple[Part, ...] = (*media.videos, *media.images)
    caption = fields.get("caption")
    if not isinstance(caption, str):
        parse.fault("caption", Reason.BAD_FIELD, f"{short(caption)} is not a text")
        parse.stop()
    if not shown and not parse.faults:
        parse.fault("image", Reason.BAD_FIELD, "a caption without picture or clip")
    check_text(parse, "caption", "assistant", caption)
    if parse.faults:
        parse.stop()
    if place.pretraining:
        return Conversation((Message("user", (*shown, Text(f"\n{caption}"))),))
    return with_system(place, (Message("user", shown), say("assistant", caption)))


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    others = ("conversations", "conversation", "messages", "texts", "text_list", "response")
    return isinstance(record.get("caption"), str) and not any(key in record for key in others)
