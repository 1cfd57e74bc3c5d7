"""Text lines to questions: transcription, spotting (text with boxes), reading a box, locating a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tessera.annotations.coordinates import box_text
from tessera.annotations.formats.rows import Row
from tessera.annotations.formats.text_lines import TEXT, TextLine, read_pages, reading_order, upright
from tessera.annotations.job import (
    ALL_MARKS,
    Draft,
    Job,
    Turn,
    WordingSampler,
    choose_turns,
    clean,
    in_records,
)
from tessera.annotations.objects import clipped
from tessera.annotations.pictures import Picture
from tessera.annotations.settings import OcrSettings
from tessera.annotations.tally import Rejected, Rule

ILLEGIBLE = ("###", "*")
"""How ICDAR and others mark text that can't be read."""


@dataclass
class Page:
    """A picture with its lines as they are gathered; complete while no legible line was left out."""

    picture: Picture
    lines: list[TextLine] = field(default_factory=list)
    complete: bool = True

    def add(self, job: Job, row: Row, smallest: int) -> None:
        """Take a line, clipped to the picture. Rejected when it is illegible, empty, outside or too small."""
        try:
            text = clean(row.get(*TEXT), "text", ALL_MARKS)
            if text in ILLEGIBLE:
                raise Rejected(Rule.ILLEGIBLE, text)
            self.lines.append(TextLine(text, clipped(job, upright(row), self.picture, smallest)))
        except Rejected as error:
            self.complete &= error.reason is Rule.ILLEGIBLE
            raise


def ocr_drafts(job: Job, settings: OcrSettings) -> Iterator[Draft]:
    """Conversations about the text of each picture."""
    for place, picture, rows in read_pages(settings.annotations, job):
        page = Page(picture)
        for row in rows:
            with job.tally.catching(row.place, items=1):
                page.add(job, row, settings.smallest)
        if settings.order == "reading":
            page.lines = reading_order(page.lines)
        sampler = job.sampler(picture.path)
        turns = choose_turns(_turns(job, settings, place, page, sampler), settings.questions, sampler.rng)
        if not turns:
            job.tally.reject(place, Rule.NOTHING, picture.path)
        yield from in_records(place, picture, turns, settings.turns)


def _turns(
    job: Job, settings: OcrSettings, place: str, page: Page, sampler: WordingSampler
) -> Iterator[Turn]:
    """Every form that was asked for. Whole-page forms need all legible lines."""
    lines, size = page.lines, page.picture.size
    texts = [line.text for line in lines]
    whole = page.complete and bool(lines)
    if whole and "transcription" in settings.forms:
        yield sampler.turn("transcription", texts, lines="\n".join(texts))
    if whole and "spotting" in settings.forms:
        if len(lines) > settings.max_boxes:
            job.tally.reject(place, Rule.TOO_MANY, f"{len(lines)} lines")
        else:
            found = "\n".join(f"<ref>{line.text}</ref>{box_text([line.box], size)}" for line in lines)
            yield sampler.turn("spotting", texts, found=found)
    times = Counter(texts)
    for line in lines:
        boxes = box_text([line.box], size)
        if "reading" in settings.forms:
            yield sampler.turn("reading", [line.text], text=line.text, boxes=boxes)
        if "locating" in settings.forms and page.complete and times[line.text] == 1:
            yield sampler.turn("locating", [line.text], text=line.text, boxes=boxes)
