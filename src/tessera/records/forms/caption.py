"""Pairs of picture and caption: `image` (or `images`, `video`) and `caption`, as in image-text shards.

For pre-training the caption follows the picture and is trained like any text; otherwise the picture alone
asks and the caption is the answer.
"""

from typing import Any

from tessera.chat.message import Message, Part, Text, say
from tessera.records.forms.turns import check_text, read_media
from tessera.records.record import Parse

KEYS = frozenset(("caption", "image", "images", "video", "videos", "clip", "audio", "audios"))


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The pair as messages, as far as it is sound."""
    media = read_media(parse, fields)
    shown: tuple[Part, ...] = (*media.videos, *media.images, *media.audios)
    caption = fields.get("caption")
    if not parse.is_text(caption, "caption"):
        return ()
    if not shown and not parse.faults:
        parse.fault("image", "a caption without picture, clip or sound")
    check_text(parse, "caption", "assistant", caption)
    if parse.place.pretraining:
        return (Message("user", (*shown, Text(f"\n{caption}"))),)
    return Message("user", shown), say("assistant", caption)


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    others = ("conversations", "conversation", "messages", "texts", "text_list", "response")
    return isinstance(record.get("caption"), str) and not any(key in record for key in others)
