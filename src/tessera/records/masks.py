"""Masks of a record: the list `masks`, one entry for each link token of its answers, in their order.

An entry is a path of a picture (what is not black is masked), COCO's run-length code, or COCO's polygons; or
`{"image": 1, "mask": entry}` where the record has several pictures. Sizes are those of the picture.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageDraw

from tessera.chat.message import Conversation, Image
from tessera.imaging.decode import decode_image, read_size
from tessera.imaging.masks.rle import decode_mask, encode_mask
from tessera.imaging.pictures.reading import PUBLISHED
from tessera.records.faults import DataError, Reason
from tessera.records.readers.records import RecordReader
from tessera.records.record import Parse, RecordPlace
from tessera.runtime.shown import shown

KEY = "masks"
ADVICE = "give a path, size and counts, or polygons, in pixels of the picture (docs/link.md)"


@dataclass(frozen=True)
class RecordMask:
    """One mask of a record: which of its pictures, and the packed code of `imaging.masks.rle`."""

    picture: int
    code: Mapping[str, Any]

    def pixels(self) -> npt.NDArray[np.bool_]:
        """bool [H, W], in the size of the picture."""
        return decode_mask(self.code)


def read_masks(source: RecordReader, index: int, tokens: Collection[str]) -> tuple[RecordMask, ...]:
    """The masks of a record, whose answers hold link tokens of these names. DataError with all faults.

    Every mask has the size of its picture, and there are as many as link tokens.
    """
    file, line = source.place(index)
    parse, talk = Parse(RecordPlace(file, line, source.spec.root)), source.conversation(index)
    record = source.record(index)
    given = record.get(KEY) if isinstance(record, Mapping) else None
    entries = given if isinstance(given, list) else []
    if given is not None and not isinstance(given, list):
        parse.fault(KEY, f"{shown(given)} is no list", advice=ADVICE)
    said = sum(m.text.count(token) for m in talk.messages if m.role == "assistant" for token in tokens)
    if said != len(entries) and (given is None or isinstance(given, list)):
        names = " and ".join(sorted(tokens))
        advice = "write one link token in the answers for each mask"
        parse.fault(
            KEY, f"{len(entries)} masks, but the answers hold {said} {names}", Reason.BAD_FIELD, advice
        )
    found = [_entry(parse, talk, f"{KEY}[{n}]", entry) for n, entry in enumerate(entries)]
    parse.check()
    return tuple(mask for mask in found if mask is not None)


def _entry(parse: Parse, talk: Conversation, where: str, entry: object) -> RecordMask | None:
    """One mask, None with a fault."""
    pictures = [part for part in talk.media if isinstance(part, Image)]
    number: object = 0
    if isinstance(entry, Mapping) and "mask" in entry:
        number, entry = entry.get("image", 0), entry["mask"]
    elif len(pictures) > 1:
        parse.fault(where, "which picture?", advice='write {"image": number from 0, "mask": ...}')
        return None
    if type(number) is not int or not 0 <= number < len(pictures):
        parse.fault(where, f"image = {shown(number)}, of {len(pictures)} pictures", advice=ADVICE)
        return None
    part = pictures[number]
    size = read_size(part.source, reading=part.reading or PUBLISHED)
    pixels = _pixels(parse, where, entry, size)
    if pixels is None:
        return None
    if pixels.shape[::-1] != size:
        told = f"{pixels.shape[1]} x {pixels.shape[0]} pixels, the picture has {size[0]} x {size[1]}"
        parse.fault(where, told, advice="make it as large as the picture")
        return None
    return RecordMask(number, encode_mask(pixels))


def _pixels(parse: Parse, where: str, entry: object, size: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    """bool [H, W] of an entry in any form, None with a fault."""
    try:
        if isinstance(entry, str):
            source = parse.file(where, entry)
            return None if source is None else np.asarray(decode_image(source).convert("L")) > 0
        if isinstance(entry, list):
            return draw_polygons(entry, size)
        return decode_mask(entry)
    except (ValueError, OSError) as error:
        parse.fault(where, str(error), advice=ADVICE)
        return None


def draw_polygons(polygons: list[Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """COCO's polygons `[[x, y, x, y, ...], ...]` in pixels as mask bool [H, W], outlines included.

    size: width and height. ValueError for a polygon that is none.
    """
    picture = PIL.Image.new("1", size)
    draw = ImageDraw.Draw(picture)
    for number, polygon in enumerate(polygons):
        numbers = isinstance(polygon, list) and all(type(value) in (int, float) for value in polygon)
        if not numbers or len(polygon) < 6 or len(polygon) % 2 or not np.isfinite(polygon).all():
            raise ValueError(f"polygon {number}: {shown(polygon)} is no list of three or more x, y")
        draw.polygon(list(map(float, polygon)), fill=1, outline=1)
    return np.asarray(picture, dtype=np.bool_)


def mask_fault(source: RecordReader, index: int, detail: str) -> DataError:
    """A fault of a record's masks that shows in how it is encoded."""
    file, line = source.place(index)
    parse = Parse(RecordPlace(file, line, source.spec.root))
    parse.fault(KEY, detail)
    return DataError(parse.faults)
