"""Captions: COCO's file (images and annotations with `caption`), or rows with image and caption."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tessera.annotations.formats.rows import Row, entries, read_json, read_rows
from tessera.annotations.job import Draft, Job, Turn, clean
from tessera.annotations.settings import CaptionsSettings
from tessera.annotations.tally import Fault, Rejected

IMAGE = ("image", "image_path", "file_name", "filename", "path")
CAPTION = ("caption", "text", "description")


def caption_drafts(job: Job, settings: CaptionsSettings) -> Iterator[Draft]:
    """One record per caption, or one per picture (of neighbouring rows, where rows are streamed)."""
    file = settings.annotations
    content = read_json(file) if file.suffix.lower() == ".json" else None
    rows = _coco_rows(job, settings, content) if isinstance(content, dict) else _plain_rows(job, settings)
    for number, (name, group) in enumerate(groupby(rows, key=lambda row: str(row.get(*IMAGE)))):
        captions = list(group)
        if settings.per_picture == "one":
            captions = [job.voice("caption", name, number).rng.choice(captions)]
        for place, row in enumerate(captions):
            try:
                yield _draft(job, row, number, place)
            except Rejected as error:
                job.tally.reject(row.place, error)


def _draft(job: Job, row: Row, number: int, place: int) -> Draft:
    picture = job.pictures.find(row.get(*IMAGE))
    caption = clean(row.get(*CAPTION), "caption")
    voice = job.voice(picture.path, number, place)
    return Draft(row.place, (picture,), (Turn("caption", voice.say("question"), caption),))


def _plain_rows(job: Job, settings: CaptionsSettings) -> Iterator[Row]:
    return read_rows(settings.annotations, job, (IMAGE, CAPTION))


def _coco_rows(job: Job, settings: CaptionsSettings, content: dict[str, Any]) -> Iterator[Row]:
    """COCO's captions picture by picture."""
    file = settings.annotations
    images = {entry.get("id"): entry.get("file_name") for entry in entries(content, "images", file)}
    groups: dict[object, list[Row]] = {image: [] for image in images}
    for number, entry in enumerate(entries(content, "annotations", file)):
        place = f"{file}: annotation {entry.get('id', number)!r}"
        if (image := entry.get("image_id")) in images:
            groups[image].append(Row(place, {"image": images[image], "caption": entry.get("caption")}))
        else:
            job.tally.items += 1
            job.tally.reject(place, Rejected(Fault.UNKNOWN_PICTURE, f"image_id {image!r}"))
    for done, rows in enumerate(groups.values(), 1):
        for row in rows:
            job.count(done, len(groups))
            yield row
