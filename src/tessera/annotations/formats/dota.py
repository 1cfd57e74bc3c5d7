"""DOTA-style rotated boxes: a text file per picture, `x1 y1 … x4 y4 class difficult` a line, in pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from tessera.annotations.coordinates import Quad, hull
from tessera.annotations.job import Draft, Job
from tessera.annotations.objects import Region, Scene, clipped, object_drafts
from tessera.annotations.settings import RemoteSettings
from tessera.annotations.tally import Fault, Rejected, Rule

HEAD = ("imagesource:", "gsd:")
"""Lines about the whole picture, left out."""


def dota_drafts(job: Job, settings: RemoteSettings) -> Iterator[Draft]:
    """Conversations about rotated boxes, upright unless `rotated`."""
    return object_drafts(job, _scenes(job, settings), settings)


def _scenes(job: Job, settings: RemoteSettings) -> Iterator[Scene]:
    files = sorted(settings.annotations.glob("*.txt")) if settings.annotations.is_dir() else []
    if not files:
        raise ValueError(f"annotations: no .txt files in {settings.annotations}; give DOTA's folder labelTxt")
    classes = _all_classes(job, files) if settings.absent else ()
    for file in job.each(files, len(files)):
        with job.tally.catching(str(file)):
            scene = Scene(str(file), job.pictures.find_stem(file.stem), classes)
            for place, words in _lines(file):
                with job.tally.catching(place, items=1):
                    _add(job, scene, words, settings)
            yield scene


def _lines(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Place and words of every object's line."""
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip() and not line.lower().startswith(HEAD):
                yield f"{file}:{number}", line.split()


def _add(job: Job, scene: Scene, words: list[str], settings: RemoteSettings) -> None:
    """One line. Rejected when it is not eight numbers and a class."""
    if len(words) not in (9, 10):
        raise Rejected(Fault.BAD_ROW, f"{len(words)} words instead of 8 numbers, class and difficult")
    label = job.label(words[8])
    with scene.taking(label):
        # DOTA: 0 plain, 1 difficult, 2 very difficult.
        if settings.difficult == "skip" and len(words) == 10 and words[9] != "0":
            raise Rejected(Rule.DIFFICULT, label)
        quad = _corners(words[:8])
        box = clipped(job, hull(quad), scene.picture, settings.smallest)
        scene.regions.append(Region(label, box, quad if settings.rotated else None))


def _corners(words: list[str]) -> Quad:
    try:
        return cast(Quad, tuple(map(float, words)))
    except ValueError as error:
        raise Rejected(Fault.BAD_BOX, str(error)) from error


def _all_classes(job: Job, files: list[Path]) -> tuple[str, ...]:
    names = {words[8] for file in files for _, words in _lines(file) if len(words) in (9, 10)}
    return job.labels(sorted(names))
