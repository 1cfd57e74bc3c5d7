"""Rows of CSV, TSV, JSON and JSONL files one after the other, each with its place."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.annotations.job import Job
from tessera.annotations.tally import Fault, Rejected

TABLES = {".csv": ",", ".tsv": "\t"}
MOST_CHARACTERS = 2**24
"""Longest field of a table."""


@dataclass(frozen=True)
class Row:
    """A row by its own column names, and where it stands."""

    place: str
    fields: Mapping[str, Any]

    def get(self, *names: str) -> Any:
        """The first of these columns that the row has; None when it has none."""
        return next((self.fields[name] for name in names if self.fields.get(name) not in (None, "")), None)


def read_rows(file: Path, job: Job, needed: tuple[tuple[str, ...], ...]) -> Iterator[Row]:
    """All rows, streamed but for .json. `needed`: the columns a row needs, each with its other names.

    ValueError for a missing file, another kind of file, a header without a needed column; rows that can't be
    read, or lack a needed column, are rejected.
    """
    if not file.is_file():
        raise ValueError(f"annotations: no file {file}; correct the path")
    suffix = file.suffix.lower()
    if suffix in TABLES:
        yield from _table_rows(file, job, needed)
    elif suffix in (".jsonl", ".json"):
        for number, row in enumerate(_json_rows(file, job), 1):
            job.count(number, None)
            if (lacks := _lacking(row.fields, needed)) is None:
                yield row
            else:
                job.tally.reject(row.place, Rejected(Fault.BAD_ROW, f"no {lacks}"))
    else:
        raise ValueError(f"{file}: {suffix or 'no'} ending; rows come as .csv, .tsv, .json or .jsonl")


def _table_rows(file: Path, job: Job, needed: tuple[tuple[str, ...], ...]) -> Iterator[Row]:
    """Rows of a table with a header; quoted line breaks are part of a field."""
    csv.field_size_limit(MOST_CHARACTERS)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        table = csv.DictReader(stream, delimiter=TABLES[file.suffix.lower()], strict=True)
        try:
            header = [name.strip() for name in table.fieldnames or ()]
            table.fieldnames = header
            if (lacks := _lacking(dict.fromkeys(header, True), needed)) is not None:
                raise ValueError(
                    f"{file}:1: the header {', '.join(header) or '(empty)'} has no column {lacks}; "
                    "name it in the first line"
                )
            for number, fields in enumerate(table, 1):
                job.count(number, None)
                place = f"{file}:{table.line_num}"
                if None in fields or None in fields.values():
                    fault = Rejected(Fault.BAD_ROW, f"not {len(header)} columns as in the header")
                    job.tally.reject(place, fault)
                else:
                    yield Row(place, fields)
        except csv.Error as error:
            raise ValueError(f"{file}: behind line {table.line_num}: {error}; correct the quotes") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{file}: not UTF-8 ({error.reason}); save the file as UTF-8") from error


def _json_rows(file: Path, job: Job) -> Iterator[Row]:
    """Objects of a JSON list, or one a line."""
    if file.suffix.lower() == ".json":
        content = read_json(file)
        if not isinstance(content, list):
            raise ValueError(f"{file}: not a list of objects; see docs/data_build.md for the formats")
        for number, fields in enumerate(content, 1):
            yield from _object(f"{file}: entry {number}", fields, job)
        return
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            place = f"{file}:{number}"
            try:
                fields = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                job.tally.items += 1
                job.tally.reject(place, Rejected(Fault.BAD_ROW, str(error)))
                continue
            yield from _object(place, fields, job)


def _object(place: str, fields: object, job: Job) -> Iterator[Row]:
    if isinstance(fields, dict):
        yield Row(place, fields)
    else:
        job.tally.items += 1
        job.tally.reject(place, Rejected(Fault.BAD_ROW, f"{type(fields).__name__} instead of an object"))


def _lacking(fields: Mapping[str, Any], needed: tuple[tuple[str, ...], ...]) -> str | None:
    """The first needed column that is not there, under any of its names."""
    for names in needed:
        if not any(name in fields for name in names):
            return " or ".join(repr(name) for name in names)
    return None


def read_json(file: Path) -> Any:
    """The content of a JSON file. ValueError naming the file when it is missing or broken."""
    if not file.is_file():
        raise ValueError(f"annotations: no file {file}; correct the path")
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}:{error.lineno}: {error.msg}; the file is not whole JSON") from error


def entries(content: object, key: str, file: Path) -> list[dict[str, Any]]:
    """A list of objects under a key. ValueError when it is not there."""
    found = content.get(key) if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError(f"{file}: no list of objects under {key!r}; see docs/data_build.md for the formats")
    return found


def read_names(file: Path | None) -> dict[str, str]:
    """Other names of classes from a JSON object or lines of 'class name'. ValueError naming file and line."""
    if file is None:
        return {}
    if not file.is_file():
        raise ValueError(f"names: no file {file}; correct the path")
    if file.suffix.lower() == ".json":
        found = read_json(file)
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
            raise ValueError(f"names: {file} is not a JSON object of class -> name; correct it")
        return found
    names = {}
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
        parts = line.split(None, 1)
        if parts and len(parts) < 2:
            raise ValueError(f"names: {file}:{number}: {line!r} has no name; write 'class name'")
        if parts:
            names[parts[0]] = parts[1].strip()
    return names
