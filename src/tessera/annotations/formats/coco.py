"""COCO-style boxes: one JSON file with images, annotations and categories (`bbox` is x, y, width, height)."""

from collections.abc import Iterator, Mapping
from typing import Any

from tessera.annotations.coordinates import numbers
from tessera.annotations.formats.rows import FileRow, by_id, entries, other_type, read_json
from tessera.annotations.job import ALL_MARKS, Draft, Job, clean
from tessera.annotations.objects import AnnotatedPicture, LabelledBox, clipped, object_drafts
from tessera.annotations.pictures import Picture
from tessera.annotations.rejects import Fault, Rejected, SkipReason
from tessera.annotations.settings import BoxesSettings, BuildSettings
from tessera.runtime.shown import shown

PHRASES = ("phrase", "caption", "sentence", "description")
"""Keys of an annotation that hold a phrase for this very object."""


def drafts(job: Job[BoxesSettings]) -> Iterator[Draft]:
    """Conversations about the boxes of an instances file."""
    return object_drafts(job, _pictures(job))


def by_image(job: Job[BuildSettings], content: object) -> Iterator[tuple[dict[str, Any], list[FileRow]]]:
    """Images in the file's order with their annotations; those of images that are not listed are rejected."""
    file = job.settings.annotations
    images = by_id(entries(content, "images", file), "id", "images", file)
    annotations = entries(content, "annotations", file)
    by_id([entry for entry in annotations if "id" in entry], "id", "annotations", file)
    groups: dict[object, list[FileRow]] = {name: [] for name in images}
    for number, entry in enumerate(annotations):
        row, name = FileRow(f"{file}: annotation {entry.get('id', number)!r}", entry), entry.get("image_id")
        if isinstance(name, int | str) and name in groups:
            groups[name].append(row)
        else:
            job.log.items += 1
            detail = f"image_id {shown(name)}{other_type(name, groups)}"
            job.log.reject(row.place, Fault.UNKNOWN_PICTURE, detail)
    yield from ((image, groups[name]) for name, image in images.items())


def _pictures(job: Job[BoxesSettings]) -> Iterator[AnnotatedPicture]:
    """All of the file is read at once, as JSON asks for. ValueError naming what it lacks."""
    file = job.settings.annotations
    content = read_json(file)
    images, categories = entries(content, "images", file), entries(content, "categories", file)
    labels = {name: entry.get("name") for name, entry in by_id(categories, "id", "categories", file).items()}
    classes = job.labels(labels.values()) if job.settings.absent else ()
    for image, rows in job.each(by_image(job, content), len(images)):
        place = f"{file}: image {image.get('id')!r}"
        with job.log.catching(place):
            found = AnnotatedPicture(place, _picture(job, image), classes)
            for row in rows:
                with job.log.catching(row.place, items=1):
                    _add(job, found, row, labels)
            yield found


def _picture(job: Job[BoxesSettings], image: dict[str, Any]) -> Picture:
    picture = job.pictures.find(image.get("file_name"))
    width, height = picture.size
    stated = (image.get("width", width), image.get("height", height))
    if stated != picture.size:
        said = f"the annotation says {shown(stated[0])} x {shown(stated[1])}"
        detail = f"{picture.path} has {width} x {height}, {said}"
        raise Rejected(Fault.OTHER_SIZE, detail)
    return picture


def _add(job: Job[BoxesSettings], found: AnnotatedPicture, row: FileRow, labels: Mapping[Any, Any]) -> None:
    """One annotation. Rejected for an unknown category, a bad box or phrase, a crowd."""
    entry, category = row.fields, row.fields.get("category_id")
    if not isinstance(category, int | str) or category not in labels:
        listed = other_type(category, labels) or f"; {len(labels)} categories are listed"
        raise Rejected(Fault.UNKNOWN_CATEGORY, f"category_id {shown(category)}{listed}")
    label = job.label(labels[category])
    with found.taking(label):
        if entry.get("iscrowd"):
            raise Rejected(SkipReason.CROWD, label)
        left, top, width, height = numbers(entry.get("bbox"), 4, "bbox")
        phrase = next((entry[key] for key in PHRASES if entry.get(key)), None)
        said = clean(phrase, "phrase", ALL_MARKS) if phrase is not None else None
        box = clipped(job, (left, top, left + width, top + height), found.picture)
        found.boxes.append(LabelledBox(label, box, phrase=said))
