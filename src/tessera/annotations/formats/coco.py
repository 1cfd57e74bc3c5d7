"""COCO-style boxes: one JSON file with images, annotations and categories (`bbox` is x, y, width, height)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tessera.annotations.coordinates import numbers
from tessera.annotations.formats.rows import entries, read_json
from tessera.annotations.job import ALL_MARKS, Draft, Job, clean
from tessera.annotations.objects import Scene, SceneMaker, object_drafts
from tessera.annotations.pictures import Picture
from tessera.annotations.settings import BoxesSettings
from tessera.annotations.tally import Fault, Rejected, Rule

PHRASE_KEYS = ("phrase", "caption", "sentence", "description")
"""Keys of an annotation that hold a phrase for this very object."""


def coco_drafts(job: Job, settings: BoxesSettings) -> Iterator[Draft]:
    """Conversations about the boxes of an instances file."""
    return object_drafts(job, CocoFile(job, settings).scenes(), settings)


class CocoFile:
    """An instances file; all of it is read at once, as JSON asks for. ValueError naming what it lacks."""

    def __init__(self, job: Job, settings: BoxesSettings) -> None:
        self.job, self.settings, self.file = job, settings, settings.annotations
        content = read_json(self.file)
        self.images = entries(content, "images", self.file)
        self.labels = {
            entry.get("id"): entry.get("name") for entry in entries(content, "categories", self.file)
        }
        self.boxes = self._grouped(entries(content, "annotations", self.file))

    def scenes(self) -> Iterator[Scene]:
        """Pictures in the file's order."""
        classes = self.job.labels(self.labels.values()) if self.settings.absent else ()
        for number, entry in enumerate(self.images):
            self.job.count(number + 1, len(self.images))
            place = f"{self.file}: image {entry.get('id')!r}"
            try:
                picture = self._picture(entry)
            except Rejected as error:
                self.job.tally.reject(place, error)
                continue
            maker = SceneMaker(self.job, place, picture, self.settings.smallest)
            for spot, annotation in self.boxes.get(entry.get("id"), []):
                self.job.tally.items += 1
                try:
                    self._add(maker, annotation)
                except Rejected as error:
                    self.job.tally.reject(spot, error)
            yield maker.scene(classes)

    def _grouped(self, annotations: list[dict[str, Any]]) -> dict[object, list[tuple[str, dict[str, Any]]]]:
        """Annotations with their places by picture; those of pictures that are not listed are faults."""
        groups: dict[object, list[tuple[str, dict[str, Any]]]] = {
            entry.get("id"): [] for entry in self.images
        }
        for number, entry in enumerate(annotations):
            place = f"{self.file}: annotation {entry.get('id', number)!r}"
            if (image := entry.get("image_id")) in groups:
                groups[image].append((place, entry))
            else:
                self.job.tally.items += 1
                self.job.tally.reject(place, Rejected(Fault.UNKNOWN_PICTURE, f"image_id {image!r}"))
        return groups

    def _picture(self, entry: dict[str, Any]) -> Picture:
        picture = self.job.pictures.find(entry.get("file_name"))
        width, height = picture.size
        stated = (entry.get("width", width), entry.get("height", height))
        if stated != picture.size:
            detail = f"{picture.path} has {width} x {height}, the annotation says {stated[0]} x {stated[1]}"
            raise Rejected(Fault.OTHER_SIZE, detail)
        return picture

    def _add(self, maker: SceneMaker, entry: dict[str, Any]) -> None:
        """One annotation. Rejected for an unknown category, a bad box or phrase, a crowd."""
        category = entry.get("category_id")
        if category not in self.labels:
            detail = f"category_id {category!r}; {len(self.labels)} categories are listed"
            raise Rejected(Fault.UNKNOWN_CATEGORY, detail)
        label = self.job.label(self.labels[category])
        with maker.taking(label):
            if entry.get("iscrowd"):
                raise Rejected(Rule.CROWD, label)
            left, top, width, height = numbers(entry.get("bbox"), 4, "bbox")
            phrase = next((entry[key] for key in PHRASE_KEYS if entry.get(key)), None)
            said = clean(phrase, "phrase", ALL_MARKS) if phrase is not None else None
            maker.add(label, (left, top, left + width, top + height), phrase=said)
