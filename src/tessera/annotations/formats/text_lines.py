"""Text lines from JSONL rows, PaddleOCR's label file or ICDAR's folder, and their reading order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tessera.annotations.coordinates import Box, hull, numbers
from tessera.annotations.formats.rows import IMAGE, Row, existing, file_lines, read_rows
from tessera.annotations.job import Job
from tessera.annotations.pictures import Picture
from tessera.annotations.tally import Fault, Rejected

LINES = ("lines", "annotations", "texts")
TEXT = ("text", "transcription")
CORNERS = ("quad", "points", "polygon")
_NUMBER, _COMMA = r"-?\d+(?:\.\d+)?", r"\s*[, ]\s*"
_ICDAR = re.compile(
    rf"\s*({_NUMBER}(?:{_COMMA}{_NUMBER}){{7}}|{_NUMBER}(?:{_COMMA}{_NUMBER}){{3}}){_COMMA}(.*)"
)


@dataclass(frozen=True)
class TextLine:
    """A line of text and its upright box in pixels."""

    text: str
    box: Box


Found = Iterator[tuple[str, Picture, list[Row]]]
"""Place, picture and lines of every picture; a line has its text, and its box or corners."""


def read_pages(file: Path, job: Job) -> Found:
    """All pages of a file or folder. ValueError when it is none of the known formats."""
    if file.is_dir():
        yield from _icdar_pages(file, job)
    elif file.suffix.lower() == ".txt":
        yield from _paddle_pages(file, job)
    else:
        for row in read_rows(file, job, (IMAGE, LINES)):
            yield from _page(job, row.place, row.get(*IMAGE), row.get(*LINES))


def _page(job: Job, place: str, name: object, lines: object) -> Found:
    """One picture with its lines; rejected when either can't be read."""
    with job.tally.catching(place):
        if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
            raise Rejected(Fault.BAD_ROW, "its lines are not a list of objects with text and box")
        picture = job.pictures.find(name)
        yield place, picture, [Row(f"{place}: line {number}", line) for number, line in enumerate(lines, 1)]


def _paddle_pages(file: Path, job: Job) -> Found:
    """`picture<tab>[{"transcription": …, "points": [[x, y], …]}, …]`, one picture a line."""
    for place, line in job.each(file_lines(existing(file))):
        try:
            name, _, rest = line.decode("utf-8-sig").partition("\t")
            lines = json.loads(rest)
        except (ValueError, RecursionError) as error:
            job.tally.reject(place, Fault.BAD_ROW, f"no picture, tab and JSON list: {error}")
            continue
        yield from _page(job, place, name, lines)


def _icdar_pages(folder: Path, job: Job) -> Found:
    """`x1,y1,…,x4,y4,text` or `left,top,right,bottom,text` per line; names lose their `gt_`."""
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise ValueError(f"annotations: no .txt files in {folder}; see docs/data_build.md for the formats")
    for file in job.each(files, len(files)):
        with job.tally.catching(str(file)):
            picture = job.pictures.find_stem(file.stem.removeprefix("gt_"))
            try:
                lines = file.read_text(encoding="utf-8-sig").splitlines()
            except UnicodeDecodeError as error:
                raise Rejected(Fault.BAD_ROW, f"not UTF-8 ({error.reason})") from error
            found = [_icdar_line(f"{file}:{n}", line) for n, line in enumerate(lines, 1) if line.strip()]
            yield str(file), picture, found


def _icdar_line(place: str, line: str) -> Row:
    match = _ICDAR.match(line)
    if match is None:
        return Row(place, {"text": line})  # without a box: rejected when the line is used
    values = [float(value) for value in re.split(r"[,\s]+", match.group(1).strip())]
    text = match.group(2).strip()
    if len(values) == 4 and len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return Row(place, {"text": text, "box" if len(values) == 4 else "quad": values})


def upright(row: Row) -> Box:
    """The upright box of a line in pixels: `box` as left, top, right, bottom, or the hull of its corners."""
    if (corners := row.get(*CORNERS)) is not None:
        count = sum(len(pair) if isinstance(pair, list) else 1 for pair in corners) if corners else 0
        if count < 6 or count % 2:
            raise Rejected(Fault.BAD_BOX, f"{count} numbers are no corners")
        return hull(numbers(corners, count, "corners"))
    left, top, right, bottom = numbers(row.get("box", "bbox"), 4, "box")
    return left, top, right, bottom


def reading_order(lines: Sequence[TextLine]) -> list[TextLine]:
    """From top to bottom in rows, each from left to right.

    A line belongs to a row while its middle lies within the row's first line. Columns of a page are read
    across, as no layout is known: annotate in reading order and take order=given for such pages.
    """
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: (line.box[1] + line.box[3], line.box[0])):
        middle = (line.box[1] + line.box[3]) / 2
        if rows and rows[-1][0].box[1] <= middle <= rows[-1][0].box[3]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box[0])]
