"""COCO-style boxes: one JSON file with images, annotations and categories (`bbox` is x, y, width, height)."""

from collections.abc import Iterator, Mapping
from typing import Any

from tessera.annotations.coordinates import numbers
from tessera.annotations.formats.rows import FileRow, entries, read_json
from tessera.annotations.job import ALL_MARKS, Draft, Job, clean
from tessera.annotations.objects import AnnotatedPicture, LabelledBox, clipped, object_drafts
from tessera.annotations.pictures import Picture
from tessera.annotations.rejects import Fault, Rejected, SkipReason
from tessera.annotations.settings import BoxesSettings, BuildSettings

PHRASES = ("phrase", "caption", "sentence", "description")
"""Keys of an annotation that hold a phrase for this very object."""


def drafts(job: Job[BoxesSettings]) -> Iterator[Draft]:
    """Conversations about the boxes of an instances file."""
    return object_drafts(job, _pictures(job))


def by_image(job: Job[BuildSettings], content: object) -> Iterator[tuple[dict[str, Any], list[FileRow]]]:
    """Images in the file's order with their annotations; those of images that are not listed are rejected."""
    file = job.settings.annotations
    images = entries(content, "images", file)
    groups: dict[object, list[FileRow]] = {image.get("id"): [] for image in images}
    for number, entry in enumerate(entries(content, "annotations", file)):
        row = FileRow(f"{file}: annotation {entry.get('id', number)!r}", entry)
        if (image := entry.get("image_id")) in groups:
            groups[image].append(row)
        else:
            job.log.items += 1
            job.log.reject(row.place, Fault.UNKNOWN_PICTURE, f"image_id {image!r}")
    yield from ((image, groups[image.get("id")]) for image in images)


def _pictures(job: Job[BoxesSettings]) -> Iterator[AnnotatedPicture]:
    """All of the file is read at once, as JSON asks for. ValueError naming what it lacks."""
    file = job.settings.annotations
    content = read_json(file)
    images, categories = entries(content, "images", file), entries(content, "categories", file)
    labels = {entry.get("id"): entry.get("name") for entry in categories}
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
        detail = f"{picture.path} has {width} x {height}, the annotation says {stated[0]} x {stated[1]}"
        raise Rejected(Fault.OTHER_SIZE, detail)
    return picture


def _add(job: Job[BoxesSettings], found: AnnotatedPicture, row: FileRow, labels: Mapping[Any, Any]) -> None:
    """One annotation. Rejected for an unknown category, a bad box or phrase, a crowd."""
    entry, category = row.fields, row.fields.get("category_id")
    if category not in labels:
        listed = f"{len(labels)} categories are listed"
        raise Rejected(Fault.UNKNOWN_CATEGORY, f"category_id {category!r}; {listed}")
    label = job.label(labels[category])
    with found.taking(label):
        if entry.get("iscrowd"):
            raise Rejected(SkipReason.CROWD, label)
        left, top, width, height = numbers(entry.get("bbox"), 4, "bbox")
        phrase = next((entry[key] for key in PHRASES if entry.get(key)), None)
        said = clean(phrase, "phrase", ALL_MARKS) if phrase is not None else None
        box = clipped(job, (left, top, left + width, top + height), found.picture)
        found.boxes.append(LabelledBox(label, box, phrase=said))
