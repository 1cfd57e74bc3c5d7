"""Text lines to questions: transcription, spotting (text with boxes), reading a box, locating a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tessera.annotations.coordinates import box_text, clip_box
from tessera.annotations.formats.rows import Row
from tessera.annotations.formats.text_lines import TEXT, RawLine, TextLine, read_pages, reading_order, upright
from tessera.annotations.job import ALL_MARKS, Draft, Job, Turn, Voice, choose_turns, clean, in_records
from tessera.annotations.pictures import Picture
from tessera.annotations.settings import OcrSettings
from tessera.annotations.tally import Rejected, Rule

ILLEGIBLE = ("###", "*")
"""How ICDAR and others mark text that can't be read."""


@dataclass(frozen=True)
class Page:
    """A picture with its lines in order; complete when no legible line was left out."""

    picture: Picture
    lines: tuple[TextLine, ...]
    complete: bool


def ocr_drafts(job: Job, settings: OcrSettings) -> Iterator[Draft]:
    """Conversations about the text of each picture."""
    for place, picture, raw in read_pages(settings.annotations, job):
        page = _read_page(job, settings, picture, raw)
        voice = job.voice(picture.path)
        turns = choose_turns(_turns(job, settings, place, page, voice), settings.questions, voice.rng)
        if not turns:
            job.tally.reject(place, Rejected(Rule.NOTHING, picture.path))
        yield from in_records(place, picture, turns, settings.turns)


def _read_page(job: Job, settings: OcrSettings, picture: Picture, raw: list[RawLine]) -> Page:
    lines, complete = [], True
    for line in raw:
        job.tally.items += 1
        try:
            lines.append(_read_line(job, settings, picture, line))
        except Rejected as error:
            job.tally.reject(line.place, error)
            complete &= error.reason is Rule.ILLEGIBLE
    ordered = reading_order(lines) if settings.order == "reading" else lines
    return Page(picture, tuple(ordered), complete)


def _read_line(job: Job, settings: OcrSettings, picture: Picture, line: RawLine) -> TextLine:
    """A line clipped to the picture. Rejected when it is illegible, empty, outside or too small."""
    text = clean(Row(line.place, line.fields).get(*TEXT), "text", ALL_MARKS)
    if text in ILLEGIBLE:
        raise Rejected(Rule.ILLEGIBLE, text)
    box, clipped = clip_box(upright(line.fields), picture.size, settings.smallest)
    if clipped:
        job.tally.note(Rule.CLIPPED)
    return TextLine(text, box)


def _turns(job: Job, settings: OcrSettings, place: str, page: Page, voice: Voice) -> Iterator[Turn]:
    """Every form that was asked for. Whole-page forms need all legible lines."""
    lines, size = page.lines, page.picture.size
    texts = [line.text for line in lines]
    whole = page.complete and bool(lines)
    if whole and "transcription" in settings.forms:
        yield voice.turn("transcription", {}, {"lines": "\n".join(texts)}, texts)
    if whole and "spotting" in settings.forms:
        if len(lines) > settings.max_boxes:
            job.tally.reject(place, Rejected(Rule.TOO_MANY, f"{len(lines)} lines"))
        else:
            found = "\n".join(f"<ref>{line.text}</ref>{box_text([line.box], size)}" for line in lines)
            yield voice.turn("spotting", {}, {"found": found}, texts)
    times = Counter(texts)
    for line in lines:
        boxes = box_text([line.box], size)
        if "reading" in settings.forms:
            yield voice.turn("reading", {"boxes": boxes}, {"text": line.text}, [line.text])
        if "locating" in settings.forms and page.complete and times[line.text] == 1:
            answer = {"text": line.text, "boxes": boxes}
            yield voice.turn("locating", {"text": line.text}, answer, [line.text])
