"""Sizes that a record states beside its pictures, held against the headers of the files.

Lengths always come from headers, so a stated size is never needed; a wrong one tells of swapped files.
"""

from __future__ import annotations

from typing import Any

from tessera.chat.message import Conversation, Image
from tessera.imaging.decode import read_size
from tessera.records.faults import Reason, RecordFault
from tessera.records.files.places import Location
from tessera.records.record import listed, short

KEYS = (("width", "height"), ("width_list", "height_list"))


def size_faults(record: object, conversation: Conversation, place: tuple[Location, int]) -> list[RecordFault]:
    """A fault for every picture whose `width` and `height` (or `width_list`, `height_list`) are not its own.

    place: file and line of the record. Pictures that can't be opened are left to the check of media.
    """
    images = [part for part in conversation.media if isinstance(part, Image)]
    keys = _stated(record)
    if keys is None or not isinstance(record, dict) or not images:
        return []
    widths, heights = (listed(record[key]) for key in keys)
    if len(widths) != len(images) or len(heights) != len(images):
        detail = f"{len(widths)} widths and {len(heights)} heights of {len(images)} pictures"
        return [RecordFault(*place, keys[0], Reason.WRONG_SIZE, detail)]
    found = (_difference(*stated) for stated in zip(images, widths, heights, strict=True))
    return [RecordFault(*place, keys[0], Reason.WRONG_SIZE, detail) for detail in found if detail]


def _stated(record: object) -> tuple[str, str] | None:
    """The pair of keys under which a record states sizes."""
    if not isinstance(record, dict):
        return None
    return next((k for k in KEYS if all(record.get(key) is not None for key in k)), None)


def _difference(image: Image, width: Any, height: Any) -> str | None:
    try:
        size = read_size(image.source)
    except (ValueError, OSError):
        return None
    if (width, height) == size:
        return None
    return f"{short(width)} x {short(height)} stated, {size[0]} x {size[1]} in {image.source!s:.200}"
