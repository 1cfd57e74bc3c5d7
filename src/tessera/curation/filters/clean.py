"""The clean manifest: what stays of every source as JSONL, what goes with its reasons."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tessera.curation.filters.decisions import Decisions
from tessera.curation.filters.outcome import Flagged, Outcome, outcome, read_flagged
from tessera.curation.filters.run import VERDICT_FILE, Run
from tessera.records.manifest import DatasetSpec
from tessera.records.writing import RecordText
from tessera.runtime.progress import Progress
from tessera.runtime.seeds import derive_seed

MANIFEST = "meta.json"
REJECTS = "rejects.jsonl"
FOLDER = "clean"


@dataclass(frozen=True)
class Cleaned:
    """What was written: the manifest, the rejects, and source -> kept, rejected, overruled, undecided."""

    manifest: Path
    rejects: Path
    sources: dict[str, Counter[str]]


def write_clean(run: Run, specs: Sequence[DatasetSpec], decisions: Decisions, progress: Progress) -> Cleaned:
    """Write `clean/<source>.jsonl`, `meta.json` and `rejects.jsonl` below the run's folder.

    ValueError when the verdicts are missing, a decision keeps what can't be read, or a source would be empty.
    """
    folder = run.out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    flagged = _Merge(read_flagged(run.out / VERDICT_FILE))
    counts: dict[str, Counter[str]] = {}
    entries: dict[str, dict[str, Any]] = {}
    done = 0
    with _Whole(run.out / REJECTS) as rejects:
        for filtered, spec in zip(run.sources, specs, strict=True):
            count = counts[spec.name] = Counter()
            text = RecordText(spec, filtered.source, run.out / FOLDER / f"{file_name(spec.name)}_media")
            file = folder / f"{file_name(spec.name)}.jsonl"
            with _Whole(file) as lines:
                for record in range(filtered.size):
                    rows = flagged.take(spec.name, record)
                    found = outcome(rows, decisions, run.config.borderline)
                    _count(count, rows, found)
                    if found.verdict == "keep":
                        lines.write(text.line(record))
                    else:
                        rejects.write(_reject(rows, found, text.raw(record)))
                    done += 1
                    if not done % 1000 or done == run.size:
                        progress("writing", done, run.size)
            entries[spec.name] = _entry(spec, file.relative_to(run.out), text, count["kept"])
    if empty := [name for name, entry in entries.items() if not entry["length"]]:
        raise ValueError(f"{', '.join(empty)}: no record is left; take the source out of the manifest")
    with _Whole(run.out / MANIFEST) as manifest:
        manifest.write((json.dumps(entries, indent=2, ensure_ascii=False) + "\n").encode())
    return Cleaned(run.out / MANIFEST, run.out / REJECTS, counts)


def file_name(source: str) -> str:
    """A source's name as the name of a file; names that had to change get a hash, so that none collide."""
    plain = re.sub(r"[^\w.\-]", "_", source)
    return plain if plain == source else f"{plain}-{derive_seed('file', source) % 16**6:06x}"


def refuse_overwriting(manifest: Path, specs: Sequence[DatasetSpec], out: Path) -> None:
    """ValueError when the output would replace what it is made from."""
    taken = [manifest, *(Path(spec.annotation) for spec in specs if isinstance(spec.annotation, Path))]
    written = [out / MANIFEST, out / REJECTS, out / VERDICT_FILE]
    for file in taken:
        place = file.resolve()
        if place in [one.resolve() for one in written] or (out / FOLDER).resolve() in place.parents:
            raise ValueError(f"--out {out}: {file} would be overwritten; choose another folder")


class _Merge:
    """Flagged records in order, taken one after another beside all records."""

    def __init__(self, flagged: Iterator[Flagged]) -> None:
        self._flagged = flagged
        self._next = next(flagged, None)

    def take(self, source: str, record: int) -> Flagged:
        """The rows of a record, none if it has none."""
        found = self._next
        if found is None or (found.source, found.record) != (source, record):
            return Flagged(source, record, ())
        self._next = next(self._flagged, None)
        return found


class _Whole:
    """A file that takes its name when it is complete."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._part = file.with_name(file.name + ".part")

    def __enter__(self) -> IO[bytes]:
        self._stream = self._part.open("wb")
        return self._stream

    def __exit__(self, kind: object, *_: object) -> None:
        self._stream.close()
        if kind is None:
            os.replace(self._part, self._file)


def _count(count: Counter[str], rows: Flagged, found: Outcome) -> None:
    count["kept" if found.verdict == "keep" else "rejected"] += 1
    natural = "drop" if rows.verdict == "drop" else "keep"
    if found.by == "person" and found.verdict != natural:
        count["overruled"] += 1
    if found.by == "undecided":
        count["undecided"] += 1


def _reject(rows: Flagged, found: Outcome, raw: str) -> bytes:
    """A rejected record with who rejected it, why, and its text."""
    reasons = [
        {
            key: row[key]
            for key in ("rule", "score", "threshold", "turn", "start", "end", "excerpt", "verdict")
        }
        for row in rows.rows
        if row["verdict"] != "keep"
    ]
    told = {
        "source": rows.source, "record": rows.record, "by": found.by, "note": found.note,
        "reasons": reasons, "text": raw,
    }  # fmt: skip
    return (json.dumps(told, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _entry(spec: DatasetSpec, annotation: Path, text: RecordText, kept: int) -> dict[str, Any]:
    """The source's settings in InternVL's meta form, with its new file and number of records."""
    given = spec.model_dump(mode="json", exclude_defaults=True)
    left_out = {"name", "length"} if text.verbatim else {"name", "length", "format"}
    settings = {key: value for key, value in given.items() if key not in left_out}
    root = text.root if isinstance(text.root, str) else str(Path(text.root).resolve())
    fixed = {"root": root, "annotation": annotation.as_posix(), "data_augment": spec.data_augment}
    return {**settings, **fixed, "repeat_time": spec.repeat_time, "length": kept}
