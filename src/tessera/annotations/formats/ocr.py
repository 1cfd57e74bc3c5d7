"""Text lines (JSONL rows, PaddleOCR's label file, ICDAR's folder) to questions about what stands where."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tessera.annotations.coordinates import Box, box_text, hull, numbers
from tessera.annotations.formats.rows import (
    IMAGE,
    FileRow,
    existing,
    file_lines,
    numbered,
    parsed,
    read_rows,
    text_of,
)
from tessera.annotations.job import ALL_MARKS, Draft, Job, QAPair, WordingSampler, clean
from tessera.annotations.objects import AnnotatedPicture, LabelledBox, clipped, picture_drafts
from tessera.annotations.pictures import Picture
from tessera.annotations.rejects import Fault, Rejected, SkipReason
from tessera.annotations.settings import OcrSettings

LINES = ("lines", "annotations", "texts")
TEXT = ("text", "transcription")
CORNERS = ("quad", "points", "polygon")
ILLEGIBLE = ("###", "*")
"""How ICDAR and others mark text that can't be read."""
# Possessive, or runs of spaces would be tried in every way of parting them.
_NUMBER, _COMMA = r"-?\d++(?:\.\d++)?", r"(?:\s*+,\s*+|\s++)"
_ICDAR = re.compile(
    rf"\s*({_NUMBER}(?:{_COMMA}{_NUMBER}){{7}}|{_NUMBER}(?:{_COMMA}{_NUMBER}){{3}}){_COMMA}(.*)"
)
_Page = tuple[str, Picture, list[FileRow]]
"""Place, picture and its lines, each with its text, and its box or corners."""


def drafts(job: Job[OcrSettings]) -> Iterator[Draft]:
    """Conversations about the text of each picture. ValueError for none of the known formats."""
    return picture_drafts(job, _pages(job), lambda page, sampler: _turns(job, page, sampler))


def _turns(job: Job[OcrSettings], page: AnnotatedPicture, sampler: WordingSampler) -> Iterator[QAPair]:
    """Every form that was asked for. Whole-page forms need all legible lines."""
    forms, complete = job.settings.forms, not page.incomplete
    texts = [line.label for line in page.boxes]
    boxes = [box_text([line.box], page.picture.size) for line in page.boxes]
    if texts and complete and "transcription" in forms:
        yield sampler.turn("transcription", texts, lines="\n".join(texts))
    if texts and complete and "spotting" in forms:
        if len(texts) > job.settings.max_boxes:
            job.log.reject(page.place, SkipReason.TOO_MANY, f"{len(texts)} lines")
        else:
            found = [f"<ref>{text}</ref>{box}" for text, box in zip(texts, boxes, strict=True)]
            yield sampler.turn("spotting", texts, found="\n".join(found))
    times = Counter(texts)
    for text, box in zip(texts, boxes, strict=True):
        if "reading" in forms:
            yield sampler.turn("reading", [text], text=text, boxes=box)
        if "locating" in forms and complete and times[text] == 1:
            yield sampler.turn("locating", [text], text=text, boxes=box)


def _pages(job: Job[OcrSettings]) -> Iterator[AnnotatedPicture]:
    """Every picture with its lines; incomplete where a legible line was left out."""
    file = job.settings.annotations
    for place, picture, rows in _icdar_pages(job, file) if file.is_dir() else _listed_pages(job, file):
        page = AnnotatedPicture(place, picture)
        for row in rows:
            with job.log.catching(row.place, items=1):
                _add(job, page, row)
        if job.settings.order == "reading":
            page.boxes = reading_order(page.boxes)
        yield page


def _add(job: Job[OcrSettings], page: AnnotatedPicture, row: FileRow) -> None:
    """A line, clipped to the picture. Rejected when it is illegible, empty, outside or too small."""
    given = row.get(*TEXT)
    if (text := given.strip() if isinstance(given, str) else "") in ILLEGIBLE:
        raise Rejected(SkipReason.ILLEGIBLE, text)
    with page.taking(text):
        text = clean(given, "text", ALL_MARKS)
        page.boxes.append(LabelledBox(text, clipped(job, upright(row), page.picture)))


def _listed_pages(job: Job[OcrSettings], file: Path) -> Iterator[_Page]:
    """A picture a row, as JSONL or as PaddleOCR's `picture<tab>[{"transcription": …, "points": …}, …]`."""
    paddle = file.suffix.lower() == ".txt"
    for row in _paddle_rows(job, file) if paddle else read_rows(job, (IMAGE, LINES)):
        with job.log.catching(row.place):
            told = "its lines are not a list of objects with text and box"
            lines = numbered(row.place, "line", row.get(*LINES), told)
            yield row.place, job.pictures.find(row.get(*IMAGE)), lines


def _paddle_rows(job: Job[OcrSettings], file: Path) -> Iterator[FileRow]:
    for place, line in job.each(file_lines(existing(file))):
        try:
            name, _, rest = line.decode("utf-8-sig").partition("\t")
            yield FileRow(place, {"image": name, "lines": parsed(rest.encode())})
        except ValueError as error:
            job.log.reject(place, Fault.BAD_ROW, f"no picture, tab and JSON list: {error}")


def _icdar_pages(job: Job[OcrSettings], folder: Path) -> Iterator[_Page]:
    """`x1,y1,…,x4,y4,text` or `left,top,right,bottom,text` per line; names lose their `gt_`."""
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise ValueError(f"annotations: no .txt files in {folder}; see docs/data_build.md for the formats")
    for file in job.each(files, len(files)):
        with job.log.catching(str(file)):
            picture = job.pictures.find_stem(file.stem.removeprefix("gt_"))
            try:
                lines = text_of(file).splitlines()
            except ValueError as error:
                raise Rejected(Fault.BAD_ROW, str(error)) from error
            found = [_icdar_line(f"{file}:{n}", line) for n, line in enumerate(lines, 1) if line.strip()]
            yield str(file), picture, found


def _icdar_line(place: str, line: str) -> FileRow:
    match = _ICDAR.match(line)
    if match is None:
        return FileRow(place, {"text": line})  # without a box: rejected when the line is used
    values = [float(value) for value in re.split(r"[,\s]+", match.group(1).strip())]
    text = match.group(2).strip()
    if len(values) == 4 and len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return FileRow(place, {"text": text, "box" if len(values) == 4 else "quad": values})


def upright(row: FileRow) -> Box:
    """The upright box of a line in pixels: `box` as left, top, right, bottom, or the hull of its corners."""
    if (corners := row.get(*CORNERS)) is not None:
        corners = corners if isinstance(corners, list) else [corners]
        count = sum(len(pair) if isinstance(pair, list) else 1 for pair in corners) if corners else 0
        if count < 6 or count % 2:
            raise Rejected(Fault.BAD_BOX, f"{count} numbers are no corners")
        return hull(numbers(corners, count, "corners"))
    left, top, right, bottom = numbers(row.get("box", "bbox"), 4, "box")
    return left, top, right, bottom


def reading_order(lines: Sequence[LabelledBox]) -> list[LabelledBox]:
    """From top to bottom in rows, each from left to right.

    A line belongs to a row while its middle lies within the row's first line. Columns of a page are read
    across, as no layout is known: annotate in reading order and take order=given for such pages.
    """
    rows: list[list[LabelledBox]] = []
    for line in sorted(lines, key=lambda line: (line.box[1] + line.box[3], line.box[0])):
        middle = (line.box[1] + line.box[3]) / 2
        if rows and rows[-1][0].box[1] <= middle <= rows[-1][0].box[3]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box[0])]
