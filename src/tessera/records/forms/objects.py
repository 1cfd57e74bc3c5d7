"""Boxes of ms-swift's `objects`: `<ref-object>` and `<bbox>` become the series' `<ref>` and `<box>`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tessera.imaging.decode import read_size
from tessera.records.boxes import LARGEST
from tessera.records.faults import Reason
from tessera.records.files.places import is_url
from tessera.records.files.remote import local_copy
from tessera.records.forms.turns import RecordMedia, RecordTurn
from tessera.records.record import Parse, is_empty, listed
from tessera.runtime.shown import shown

_TAGS = re.compile(r"<ref-object>|<bbox>")


def fill_objects(
    parse: Parse, fields: Mapping[str, Any], turns: Sequence[RecordTurn], media: RecordMedia
) -> Sequence[RecordTurn]:
    """The turns with references and boxes written out, in 0 to 1000 of the whole picture
    (docs/facts/data.md)."""
    objects = fields.get("objects")
    tags = [tag for turn in turns for tag in _TAGS.findall(turn.text)]
    for tag in (tag for answer in parse.alternatives for tag in _TAGS.findall(answer.text)):
        parse.fault("objects", f"{tag} in a rejected answer is not filled", advice="write the box out there")
    shows = media.some
    if is_empty(objects) and not (tags and shows and parse.place.foreign_marks == "fault"):
        return turns
    objects = {} if is_empty(objects) else objects
    if not isinstance(objects, dict):
        parse.fault("objects", f"{shown(objects)} is not an object with 'ref' and 'bbox'")
        return turns
    refs, boxes = listed(objects.get("ref")), listed(objects.get("bbox"))
    for key, values, tag in (("ref", refs, "<ref-object>"), ("bbox", boxes, "<bbox>")):
        if len(values) != tags.count(tag):
            detail = f"{tags.count(tag)} {tag} in the turns, {len(values)} entries"
            parse.fault(f"objects.{key}", detail, Reason.MARK_COUNT, f"write one entry per {tag}")
            return turns
    written = {"<ref-object>": _references(parse, refs), "<bbox>": _boxes(parse, objects, boxes, media)}
    return [replace(turn, text=_TAGS.sub(lambda match: next(written[match[0]]), turn.text)) for turn in turns]


def _references(parse: Parse, names: list[Any]) -> Iterator[str]:
    """Every reference as text; a fault for one that is none."""
    for name in names:
        sound = parse.is_text(name, "objects.ref") and parse.sound("objects.ref", name)
        yield f"<ref>{name}</ref>" if sound else ""


def _boxes(parse: Parse, objects: Mapping[str, Any], boxes: list[Any], media: RecordMedia) -> Iterator[str]:
    """Every box as text; a fault and no text for one that can't be scaled."""
    numbers = listed(objects.get("image_id")) or [0] * len(boxes)
    if len(numbers) != len(boxes):
        parse.fault("objects.image_id", f"{shown(numbers)} is not a number for every box")
        numbers = [0] * len(boxes)
    for box, number in zip(boxes, numbers, strict=True):
        size = _scale(parse, objects.get("bbox_type", "real"), number, media)
        yield _scaled(parse, box, size) if size is not None else ""


def _scale(parse: Parse, kind: object, number: object, media: RecordMedia) -> tuple[float, float] | None:
    """Width and height that coordinates are to be divided by."""
    if kind == "norm1":
        return 1.0, 1.0
    if kind != "real":
        parse.fault("objects.bbox_type", f"{shown(kind)} is not 'real' or 'norm1'")
        return None
    if type(number) is not int or not 0 <= number < len(media.images):
        parse.fault("objects.image_id", f"{shown(number)} of {len(media.images)} pictures")
        return None
    source = media.images[number].source
    try:
        return read_size(
            local_copy(source) if isinstance(source, str) and is_url(source) else source,
            reading=parse.place.pictures,
        )
    except (ValueError, OSError) as error:
        parse.fault("objects.bbox", str(error), Reason.BROKEN_PICTURE)
        return None


def _scaled(parse: Parse, box: object, size: tuple[float, float]) -> str:
    """Four coordinates in thousandths; a fault for anything else."""
    sides: list[Any] = box if isinstance(box, list) else []
    numbers = len(sides) == 4 and all(type(side) in (int, float) for side in sides)
    if not numbers or not all(0 <= side <= size[n % 2] for n, side in enumerate(sides)):
        detail = f"{shown(box)} is not [x1, y1, x2, y2] inside {size[0]:g} x {size[1]:g}"
        parse.fault("objects.bbox", detail, Reason.BAD_BOX)
        return ""
    corners = [round(side / size[n % 2] * LARGEST) for n, side in enumerate(sides)]
    if corners[0] > corners[2] or corners[1] > corners[3]:
        parse.fault("objects.bbox", f"{shown(box)} is inverted", Reason.BAD_BOX)
    return f"<box>[{corners}]</box>"
