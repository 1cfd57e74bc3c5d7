"""MMPR's form (docs/facts/preferences.md): `question`, the `chosen` answer and the `rejected` one.

`image` and `video` as in InternVL's form, marked in the question. What else stands there (`answer_gt`,
`chosen_meta`, `rejected_meta`) is not read.
"""

from typing import Any

from tessera.chat.message import Message, say
from tessera.records.faults import Reason
from tessera.records.forms.turns import RecordTurn, check_text, place_media, read_media
from tessera.records.record import Parse
from tessera.runtime.shown import shown

KEYS = frozenset(("question", "chosen", "rejected", "image", "images", "video", "videos", "clip"))


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """Question and chosen answer, as far as they are sound; `parse` gets the rejected one."""
    keys, media = ("question", "chosen", "rejected"), read_media(parse, fields)
    texts = [text for key in keys if parse.is_text(text := fields.get(key), key)]
    if len(texts) < len(keys):
        return ()
    question, chosen, rejected = texts
    check_text(parse, "question", "user", question, wordless=bool(media.images or media.videos))
    set_answers(parse, {"chosen": chosen, "rejected": rejected})
    turns = [RecordTurn("user", question, "question"), RecordTurn("assistant", chosen, "chosen")]
    return place_media(parse, turns, media)


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    return isinstance(record.get("question"), str) and "chosen" in record and "rejected" in record


def set_answers(parse: Parse, answers: dict[str, str]) -> None:
    """Check the answers to one prompt, by their keys, the chosen one first; the others go to `parse`."""
    (first, chosen), *others = answers.items()
    if parse.place.pretraining:
        parse.fault(first, "answers to choose among", advice="remove 'pretraining' of this source")
    check_text(parse, first, "assistant", chosen)
    for key, text in others:
        check_text(parse, key, "assistant", text)
        if text.strip() == chosen.strip() != "":
            parse.fault(key, f"{shown(text)}, the same as {first!r}", Reason.SAME_ANSWER)
    parse.alternatives = tuple(say("assistant", text) for _, text in others)
