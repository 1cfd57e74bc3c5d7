"""MMPR's form (docs/facts/preferences.md): `question`, the `chosen` answer and the `rejected` one.

`image` and `video` as in InternVL's form, marked in the question. What else stands there (`answer_gt`,
`chosen_meta`, `rejected_meta`) is not read.
"""

from typing import Any

from tessera.chat.message import Message
from tessera.records.forms.preferences.answers import set_rejected
from tessera.records.forms.turns import InFront, RecordTurn, check_text, place_media, read_media
from tessera.records.record import Parse

KEYS = frozenset(("question", "chosen", "rejected", "image", "images", "video", "videos", "clip"))


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """Question and chosen answer, as far as they are sound; `parse` gets the rejected one."""
    return read_texts(parse, fields, "question", "single")


def read_texts(parse: Parse, fields: dict[str, Any], asked: str, in_front: InFront) -> tuple[Message, ...]:
    """The same with the question under another key; in_front: media without a mark that go first."""
    keys, media = (asked, "chosen", "rejected"), read_media(parse, fields)
    texts = [text for key in keys if parse.is_text(text := fields.get(key), key)]
    if len(texts) < len(keys):
        return ()
    question, chosen, rejected = texts
    check_text(parse, asked, "user", question, wordless=media.some)
    for key, text in (("chosen", chosen), ("rejected", rejected)):
        check_text(parse, key, "assistant", text)
    turns = [RecordTurn("user", question, asked), RecordTurn("assistant", chosen, "chosen")]
    set_rejected(parse, turns[1], "rejected", rejected)
    return place_media(parse, turns, media, in_front)


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    return isinstance(record.get("question"), str) and "chosen" in record and "rejected" in record
