"""The clean copy of what was checked: every sound record once, and what was left out with its reasons."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from tessera.curation.survey import SourceSurvey, Survey
from tessera.records.readers.records import RecordReader
from tessera.records.writing import RecordText, json_line, write_meta
from tessera.runtime.progress import Progress, silent

MANIFEST = "meta.json"
REJECTS = "rejects.jsonl"
EXACT = "exact duplicate"
TOLD = 1000
"""Records between two reports of progress."""


@dataclass(frozen=True)
class Repaired:
    """What was written, and how many records of each source were kept and left out."""

    manifest: Path
    rejects: Path
    kept: dict[str, int]
    rejected: dict[str, int]


def write_repaired(survey: Survey, folder: Path, progress: Progress = silent) -> Repaired:
    """Write `<source>.jsonl` for every source of files, `meta.json` and `rejects.jsonl`.

    Left out are records with a fault, and exact repeats of an earlier record, also of another source. Lines
    of JSONL files are copied to the byte. Sources of which nothing is left are not in the manifest.
    ValueError when the folder holds anything already: nothing of the user's is ever written over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; give an empty or a new folder")
    kept: dict[str, int] = {}
    rejected: dict[str, int] = {}
    entries: dict[str, dict[str, Any]] = {}
    with (folder / REJECTS).open("wb") as rejects:
        for source in survey.sources:
            if not isinstance(source.entry.source, RecordReader):
                continue
            spec = source.entry.source.spec
            name = _free_name(spec.name, folder)
            text = RecordText(spec, source.entry.source, folder / f"{name}_media")
            file = folder / f"{name}.jsonl"
            kept[spec.name] = _write_kept(survey, source, text, file, progress)
            rejected[spec.name] = source.size - kept[spec.name]
            rejects.writelines(map(json_line, _reject_rows(survey, source)))
            if kept[spec.name]:
                entries[spec.name] = text.entry(file.name, kept[spec.name])
    write_meta(folder / MANIFEST, entries)
    return Repaired(folder / MANIFEST, folder / REJECTS, kept, rejected)


def _free_name(source: str, folder: Path) -> str:
    """A source's name as the name of a file that isn't there yet."""
    plain = re.sub(r"[^\w.\-]", "_", source)
    names = (plain if number == 1 else f"{plain}_{number}" for number in count(1))
    return next(name for name in names if not (folder / f"{name}.jsonl").exists())


def _write_kept(
    survey: Survey, source: SourceSurvey, text: RecordText, file: Path, progress: Progress
) -> int:
    """The lines of a source's sound records, in order; how many there are."""
    rejected, same_as = survey.table["rejected"], survey.table["same_as"]
    kept = 0
    with file.open("wb") as lines:
        for index in range(source.size):
            number = source.first + index
            if not rejected[number] and same_as[number] < 0:
                lines.write(text.line(index))
                kept += 1
            if index + 1 == source.size or not (index + 1) % TOLD:
                progress(f"{source.name}: writing", index + 1, source.size)
    return kept


def _reject_rows(survey: Survey, source: SourceSurvey) -> Iterator[dict[str, Any]]:
    """A row for every record that was left out: where it is, and why."""
    for index, faults in source.log.rows():
        yield _row(source, index, [(fault.field, fault.reason, fault.detail) for fault in faults])
    same_as = survey.table["same_as"][source.span]
    for index in np.flatnonzero(same_as >= 0).tolist():
        file, line = survey.place(int(same_as[index]))
        yield _row(source, index, [("record", EXACT, f"of {file}:{line}")])


def _row(source: SourceSurvey, index: int, reasons: list[tuple[str, str, str]]) -> dict[str, Any]:
    file, line = source.entry.source.place(index)
    told = [dict(zip(("field", "reason", "detail"), reason, strict=True)) for reason in reasons]
    return {"source": source.name, "file": str(file), "line": line, "reasons": told}
