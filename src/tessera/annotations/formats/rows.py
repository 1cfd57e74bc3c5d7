"""Rows of CSV, TSV, JSON and JSONL files one after the other, each with its place."""

import csv
import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.annotations.job import Job
from tessera.annotations.rejects import Fault, Rejected
from tessera.annotations.settings import BuildSettings
from tessera.runtime.json_file import deeper_than
from tessera.runtime.shown import shown

IMAGE = ("image", "image_path", "file_name", "filename", "path")
"""Columns that name a row's picture."""
TABLES = {".csv": ",", ".tsv": "\t"}
MOST_CHARACTERS = 2**26
"""Longest field of a table: a picture in base64."""
DEEPEST = 64
"""Levels of lists and objects in a JSON file."""
_KINDS = {int: "number", str: "text"}

Columns = tuple[tuple[str, ...], ...]
"""Columns that a row needs, each with its other names."""


@dataclass(frozen=True)
class FileRow:
    """A row by its own column names, and where it stands."""

    place: str
    fields: Mapping[str, Any]

    def get(self, *names: str) -> Any:
        """The first of these columns that the row has; None when it has none."""
        return next((self.fields[name] for name in names if self.fields.get(name) not in (None, "")), None)


def read_rows(job: Job[BuildSettings], needed: Columns) -> Iterator[FileRow]:
    """All rows of the annotation file, streamed but for .json.

    ValueError for a missing file, another kind of file, a header without a needed column; rows that can't be
    read, or lack a needed column, are rejected.
    """
    file = existing(job.settings.annotations)
    suffix = file.suffix.lower()
    if suffix in TABLES:
        raw = _table(file, needed)
    elif suffix in (".jsonl", ".json"):
        raw = file_lines(file) if suffix == ".jsonl" else _list(file)
    else:
        raise ValueError(f"{shown(file)}: {suffix or 'no'} ending; rows come as .csv, .tsv, .json or .jsonl")
    for place, found in job.each(raw):
        with job.log.catching(place):
            fields = _fields(found)
            if lacks := _lacking(fields, needed):
                raise Rejected(Fault.BAD_ROW, f"no {lacks}")
            yield FileRow(place, fields)


def file_lines(file: Path) -> Iterator[tuple[str, bytes]]:
    """Place and bytes of every line that is not empty."""
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield f"{file}:{number}", line


def numbered(place: str, what: str, found: object, otherwise: str) -> list[FileRow]:
    """The objects of a list as rows of their own. Rejected with `otherwise` when it is no such list."""
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise Rejected(Fault.BAD_ROW, otherwise)
    return [FileRow(f"{place}: {what} {number}", entry) for number, entry in enumerate(found, 1)]


def _list(file: Path) -> Iterator[tuple[str, object]]:
    content = read_json(file)
    if not isinstance(content, list):
        raise ValueError(f"{file}: not a list of objects; see docs/data_build.md for the formats")
    yield from ((f"{file}: entry {number}", entry) for number, entry in enumerate(content, 1))


def _table(file: Path, needed: Columns) -> Iterator[tuple[str, object]]:
    """Rows of a table with a header; quoted line breaks are part of a field."""
    csv.field_size_limit(MOST_CHARACTERS)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        table = csv.DictReader(stream, delimiter=TABLES[file.suffix.lower()], strict=True)
        try:
            table.fieldnames = header = [name.strip() for name in table.fieldnames or ()]
            _check_header(f"{shown(file)}:1", header, needed)
            for fields in table:
                uneven = None in fields or None in fields.values()
                fault = Rejected(Fault.BAD_ROW, f"not {len(header)} columns as in the header")
                yield f"{file}:{table.line_num}", fault if uneven else fields
        except csv.Error as error:
            remedy = "correct the quotes, or keep what is long in files"
            raise ValueError(f"{shown(file)}: behind line {table.line_num}: {error}; {remedy}") from error
        except UnicodeDecodeError as error:
            raise _not_utf8(file, error) from error


def _check_header(place: str, header: list[str], needed: Columns) -> None:
    """ValueError for a header that lacks a needed column, or has one twice."""
    told = shown(", ".join(header) or "(empty)", bare=True)
    if lacks := _lacking(header, needed):
        raise ValueError(f"{place}: the header {told} has no column {lacks}; name it in the first line")
    if repeated := [name for name, count in Counter(header).items() if count > 1]:
        raise ValueError(f"{place}: two columns are called {shown(repeated[0])}; rename one of them")


def text_of(file: Path) -> str:
    """A text file whole. ValueError when it is not UTF-8."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(file, error) from error


def _not_utf8(file: Path, error: UnicodeDecodeError) -> ValueError:
    with file.open("rb") as stream:
        encoding = "UTF-16" if stream.read(2) in (b"\xff\xfe", b"\xfe\xff") else f"no UTF-8: {error.reason}"
    return ValueError(f"{shown(file)}: is {encoding}; save the file as UTF-8")


def _fields(found: object) -> dict[str, Any]:
    """The columns of a row: an object, or a line that holds one. Rejected for all else."""
    if isinstance(found, bytes):
        try:
            found = parsed(found)
        except ValueError as error:
            raise Rejected(Fault.BAD_ROW, str(error)) from error
    if isinstance(found, Rejected):
        raise found
    if not isinstance(found, dict):
        raise Rejected(Fault.BAD_ROW, f"{type(found).__name__} instead of an object")
    return found


def _lacking(present: Container[str], needed: Columns) -> str:
    """All names of the first needed column that is not there; empty when there is none."""
    missing = (names for names in needed if not any(name in present for name in names))
    return " or ".join(map(repr, next(missing, ())))


def existing(file: Path, setting: str = "annotations") -> Path:
    """The file. ValueError naming the setting when there is none."""
    if not file.is_file():
        raise ValueError(f"{setting}: no file {file}; correct the path")
    return file


def read_json(file: Path) -> Any:
    """The content of a JSON file. ValueError naming the file when it is missing or broken."""
    try:
        return parsed(existing(file).read_bytes())
    except UnicodeDecodeError as error:
        raise _not_utf8(file, error) from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{shown(file)}:{error.lineno}: {error.msg}; the file is not whole JSON") from error
    except ValueError as error:
        raise ValueError(f"{shown(file)}: {error}") from error


def parsed(data: bytes) -> Any:
    """A JSON value. ValueError for what is none, is nested deeper than DEEPEST, or has a key twice."""
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError(f"nested more than {DEEPEST} deep; write it flat") from error
    if deeper_than(value, DEEPEST):
        raise ValueError(f"nested more than {DEEPEST} deep; write it flat")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"key {shown(repeated)} stands twice in one object; keep one of them")
    return found


def entries(content: object, key: str, file: Path) -> list[dict[str, Any]]:
    """A list of objects under a key. ValueError when it is not there."""
    found = content.get(key) if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError(f"{file}: no list of objects under {key!r}; see docs/data_build.md for the formats")
    return found


def by_id(found: list[dict[str, Any]], key: str, list_name: str, file: Path) -> dict[Any, dict[str, Any]]:
    """Entries of a list by their id, in order; those of a list without ids by their number.

    ValueError naming both entries for an id that stands twice, be it once as a number and once as text: the
    annotations of one would go to the other.
    """
    known: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, entry in enumerate(found, 1):
        name = entry.get(key)
        place = f"{shown(file)}: {list_name} {number}"
        if type(name) not in (int, str):
            raise ValueError(f"{place}: {key} {shown(name)}; give every entry a number or a text of its own")
        before, other = known.setdefault(str(name), (number, entry))
        if before != number:
            both = f"{shown(_brief(other))} and {shown(_brief(entry))}"
            remedy = f"number the {list_name} anew: files put together often count from 1 each"
            raise ValueError(
                f"{place}: {key} {shown(name)} stands twice, in {before} and {number}: {both}; {remedy}"
            )
    return {entry[key]: entry for _, entry in known.values()}


def other_type(name: object, known: Container[Any]) -> str:
    """What to say of an id that the list has as a number and not as text, or the other way round."""
    alike: object = str(name) if isinstance(name, int) else None
    if isinstance(name, str) and name.isdecimal() and len(name) < 20:
        alike = int(name)
    if alike is None or alike not in known:
        return ""
    return f"; the list has {alike!r}, a {_KINDS[type(alike)]}: write ids alike"


def _brief(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The values that tell an entry to a person."""
    return {key: value for key, value in entry.items() if isinstance(value, str | int)}


def read_names(file: Path | None) -> dict[str, str]:
    """Other names of classes from a JSON object or lines of 'class name'. ValueError naming file and line."""
    if file is None:
        return {}
    if existing(file, "names").suffix.lower() == ".json":
        found = read_json(file)
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
            raise ValueError(f"names: {file} is not a JSON object of class -> name; correct it")
        return found
    names = {}
    for number, line in enumerate(text_of(file).splitlines(), 1):
        parts = line.split(None, 1)
        if len(parts) == 1:
            raise ValueError(f"names: {file}:{number}: {shown(line)} has no name; write 'class name'")
        if parts:
            names[parts[0]] = parts[1].strip()
    return names
