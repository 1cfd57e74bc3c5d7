"""COCO-style boxes: one JSON file with images, annotations and categories (`bbox` is x, y, width, height)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tessera.annotations.coordinates import numbers
from tessera.annotations.formats.rows import Row, entries, read_json
from tessera.annotations.job import ALL_MARKS, Draft, Job, clean
from tessera.annotations.objects import Region, Scene, clipped, object_drafts
from tessera.annotations.pictures import Picture
from tessera.annotations.settings import BoxesSettings
from tessera.annotations.tally import Fault, Rejected, Rule

PHRASE_KEYS = ("phrase", "caption", "sentence", "description")
"""Keys of an annotation that hold a phrase for this very object."""


def coco_drafts(job: Job, settings: BoxesSettings) -> Iterator[Draft]:
    """Conversations about the boxes of an instances file."""
    return object_drafts(job, _scenes(job, settings), settings)


def by_image(job: Job, file: Path, content: object) -> Iterator[tuple[dict[str, Any], list[Row]]]:
    """Images in the file's order with their annotations; those of images that are not listed are rejected."""
    images = entries(content, "images", file)
    groups: dict[object, list[Row]] = {image.get("id"): [] for image in images}
    for number, entry in enumerate(entries(content, "annotations", file)):
        place = f"{file}: annotation {entry.get('id', number)!r}"
        if (image := entry.get("image_id")) in groups:
            groups[image].append(Row(place, entry))
        else:
            job.tally.items += 1
            job.tally.reject(place, Fault.UNKNOWN_PICTURE, f"image_id {image!r}")
    yield from ((image, groups[image.get("id")]) for image in images)


def _scenes(job: Job, settings: BoxesSettings) -> Iterator[Scene]:
    """All of the file is read at once, as JSON asks for. ValueError naming what it lacks."""
    file = settings.annotations
    content = read_json(file)
    images, categories = entries(content, "images", file), entries(content, "categories", file)
    labels = {entry.get("id"): entry.get("name") for entry in categories}
    classes = job.labels(labels.values()) if settings.absent else ()
    for image, rows in job.each(by_image(job, file, content), len(images)):
        place = f"{file}: image {image.get('id')!r}"
        with job.tally.catching(place):
            scene = Scene(place, _picture(job, image), classes)
            for row in rows:
                with job.tally.catching(row.place, items=1):
                    _add(job, scene, row.fields, labels, settings.smallest)
            yield scene


def _picture(job: Job, image: dict[str, Any]) -> Picture:
    picture = job.pictures.find(image.get("file_name"))
    width, height = picture.size
    stated = (image.get("width", width), image.get("height", height))
    if stated != picture.size:
        detail = f"{picture.path} has {width} x {height}, the annotation says {stated[0]} x {stated[1]}"
        raise Rejected(Fault.OTHER_SIZE, detail)
    return picture


def _add(job: Job, scene: Scene, entry: Mapping[str, Any], labels: dict[Any, Any], smallest: int) -> None:
    """One annotation. Rejected for an unknown category, a bad box or phrase, a crowd."""
    category = entry.get("category_id")
    if category not in labels:
        raise Rejected(
            Fault.UNKNOWN_CATEGORY, f"category_id {category!r}; {len(labels)} categories are listed"
        )
    label = job.label(labels[category])
    with scene.taking(label):
        if entry.get("iscrowd"):
            raise Rejected(Rule.CROWD, label)
        left, top, width, height = numbers(entry.get("bbox"), 4, "bbox")
        phrase = next((entry[key] for key in PHRASE_KEYS if entry.get(key)), None)
        said = clean(phrase, "phrase", ALL_MARKS) if phrase is not None else None
        box = clipped(job, (left, top, left + width, top + height), scene.picture, smallest)
        scene.regions.append(Region(label, box, phrase=said))
