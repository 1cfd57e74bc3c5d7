"""Interleaved documents for pre-training: OBELICS' and OmniCorpus' lists with empty slots, and MMC4's.

`images` and `texts` of one length, one of the two null in every slot, in reading order. Or MMC4's `text_list`
with `image_info`: each picture goes in front of the sentence of its `matched_text_index`. With
`missing_pictures: leave_out` those that are missing or broken count as null; all are decoded to know.
"""

from collections.abc import Sequence
from typing import Any

from tessera.chat.message import Image, Message, Part, PictureSource, Text
from tessera.records.faults import Reason
from tessera.records.files.remote import Unreachable, local_copy
from tessera.records.media import picture_problem
from tessera.records.record import Parse, is_empty, listed
from tessera.runtime.shown import shown

LEFT_OUT = (Reason.MISSING_FILE, Reason.EMPTY_FILE, Reason.NOT_A_PICTURE, Reason.BROKEN_PICTURE)
KEYS = frozenset(("texts", "images", "text_list", "image_info"))


def read(parse: Parse, fields: dict[str, Any]) -> tuple[Message, ...]:
    """The document as one message of texts and pictures, as far as it is sound."""
    if not parse.place.pretraining:
        parse.fault("record", "it has texts and pictures, no questions", Reason.DOCUMENT)
        return ()
    slots = _matched(parse, fields) if not is_empty(fields.get("text_list")) else _aligned(parse, fields)
    parts = _parts(parse, slots)
    if not parts and not parse.faults:
        parse.fault("texts", f"{len(slots)} slots", Reason.EMPTY_DOCUMENT)
    return (Message("user", tuple(parts)),)


def fits(record: dict[str, Any]) -> bool:
    """Whether a record may be of this form."""
    texts = record.get("texts")
    if isinstance(texts, list):
        return all(is_empty(text) or isinstance(text, str) for text in texts)
    return "text_list" in record and "image_info" in record


def _parts(parse: Parse, slots: Sequence[tuple[str, object, object]]) -> list[Part]:
    """Pictures and texts in order; a line break stands between neighbours."""
    parts: list[Part] = []
    for where, picture, text in slots:
        found: list[Part] = []
        if not is_empty(picture) and (source := parse.picture(where, picture)) is not None:
            found += [Image(source)] if _stays(parse, source) else []
        if not is_empty(text) and parse.is_text(text, where) and parse.sound(where, text):
            found.append(Text(text))
        for part in found:
            parts += [Text("\n"), part] if parts else [part]
    return parts


def _stays(parse: Parse, source: PictureSource) -> bool:
    """False for a picture that is missing or broken, where the source's documents go on without such."""
    if parse.place.missing_pictures == "fault":
        return True
    try:
        problem = picture_problem(
            local_copy(source) if isinstance(source, str) else source, headers_only=False
        )
    except FileNotFoundError:
        return False
    except Unreachable:  # told when all media are fetched
        return True
    return problem is None or problem[0] not in LEFT_OUT


def _aligned(parse: Parse, fields: dict[str, Any]) -> list[tuple[str, object, object]]:
    """OBELICS: (where, picture or None, text or None) of every slot."""
    texts, images = fields.get("texts"), fields.get("images")
    if is_empty(images) and isinstance(texts, list):
        images = [None] * len(texts)
    if not isinstance(texts, list) or not isinstance(images, list) or len(texts) != len(images):
        parse.fault("texts", "'texts' and 'images' are not lists of one length")
        return []
    slots = list(zip(images, texts, strict=True))
    for number, slot in enumerate(slots):
        if not any(map(is_empty, slot)):
            parse.fault(f"texts[{number}]", "a slot holds a picture or a text, the other is null")
    return [(f"slot {number}", *slot) for number, slot in enumerate(slots)]


def _matched(parse: Parse, fields: dict[str, Any]) -> list[tuple[str, object, object]]:
    """MMC4: (where, picture or None, text or None), pictures in front of the sentences they match."""
    texts, infos = fields["text_list"], listed(fields.get("image_info"))
    if not isinstance(texts, list):
        parse.fault("text_list", f"{shown(texts)} is not a list")
        return []
    before: dict[int, list[tuple[str, object, object]]] = {}
    for number, info in enumerate(infos):
        index = info.get("matched_text_index") if isinstance(info, dict) else None
        if type(index) is not int or not 0 <= index < len(texts):
            parse.fault(f"image_info[{number}]", f"matched_text_index {shown(index)}")
            continue
        before.setdefault(index, []).append((f"image_info[{number}]", info.get("image_name"), None))
    slots: list[tuple[str, object, object]] = []
    for number, text in enumerate(texts):
        slots += [*before.get(number, ()), (f"text_list[{number}]", None, text)]
    return slots
