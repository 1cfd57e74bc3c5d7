"""DOTA-style rotated boxes: a text file per picture, `x1 y1 … x4 y4 class difficult` a line, in pixels."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from tessera.annotations.coordinates import Quad, hull, numbers
from tessera.annotations.formats.rows import text_of
from tessera.annotations.job import Draft, Job
from tessera.annotations.objects import AnnotatedPicture, LabelledBox, clipped, object_drafts
from tessera.annotations.rejects import Fault, Rejected, SkipReason
from tessera.annotations.settings import RemoteSettings

HEAD = ("imagesource:", "gsd:")
"""Lines about the whole picture, left out."""
WORDS = (9, 10)
"""Eight numbers, the class and perhaps how difficult it is."""


def drafts(job: Job[RemoteSettings]) -> Iterator[Draft]:
    """Conversations about rotated boxes, upright unless `rotated`."""
    return object_drafts(job, _pictures(job))


def _pictures(job: Job[RemoteSettings]) -> Iterator[AnnotatedPicture]:
    folder, classes = job.settings.annotations, tuple[str, ...]()
    files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    if not files:
        raise ValueError(f"annotations: no .txt files in {folder}; give DOTA's folder labelTxt")
    if job.settings.absent:
        lines = (words for file in files for _, words in _lines(file))
        classes = job.labels(sorted({words[8] for words in lines if len(words) in WORDS}))
    for file in job.each(files, len(files)):
        with job.log.catching(str(file)):
            found = AnnotatedPicture(str(file), job.pictures.find_stem(file.stem), classes)
            for place, words in _lines(file):
                with job.log.catching(place, items=1):
                    _add(job, found, words)
            yield found


def _lines(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Place and words of every object's line. ValueError when the file is not UTF-8."""
    for number, line in enumerate(text_of(file).splitlines(), 1):
        if line.strip() and not line.lower().startswith(HEAD):
            yield f"{file}:{number}", line.split()


def _add(job: Job[RemoteSettings], found: AnnotatedPicture, words: list[str]) -> None:
    """One line. Rejected when it is not eight numbers and a class."""
    if len(words) not in WORDS:
        raise Rejected(Fault.BAD_ROW, f"{len(words)} words instead of 8 numbers, class and difficult")
    label = job.label(words[8])
    with found.taking(label):
        # DOTA: 0 plain, 1 difficult, 2 very difficult.
        if job.settings.difficult == "skip" and words[9:] not in ([], ["0"]):
            raise Rejected(SkipReason.DIFFICULT, label)
        try:
            quad = cast(Quad, numbers(list(map(float, words[:8])), 8, "corners"))
        except ValueError as error:
            raise Rejected(Fault.BAD_BOX, str(error)) from error
        box = clipped(job, hull(quad), found.picture)
        found.boxes.append(LabelledBox(label, box, quad if job.settings.rotated else None))
