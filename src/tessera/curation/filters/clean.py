"""The clean manifest: what stays of every source as JSONL, what goes with its reasons."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tessera.curation.filters.outcome import Decision, Decisions, Flagged, outcome, read_flagged
from tessera.curation.filters.run import VERDICT_FILE, Run
from tessera.records.manifest import DatasetSpec
from tessera.records.writing import RecordText, json_line, write_meta
from tessera.runtime.atomic import atomic_write
from tessera.runtime.progress import Progress
from tessera.runtime.seeds import derive_seed

MANIFEST = "meta.json"
REJECTS = "rejects.jsonl"
FOLDER = "clean"
TOLD = ("rule", "score", "threshold", "turn", "start", "end", "excerpt", "verdict")
"""What a reject tells of its rows."""


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
    counts: dict[str, Counter[str]] = {}
    entries: dict[str, dict[str, Any]] = {}
    flagged, done = _every_record(run), 0
    with atomic_write(run.out / REJECTS) as rejects:
        for filtered, spec in zip(run.sources, specs, strict=True):
            count = counts[spec.name] = Counter()
            name = file_name(spec.name)
            text = RecordText(spec, filtered.source, folder / f"{name}_media")
            with atomic_write(folder / f"{name}.jsonl") as lines:
                for rows in islice(flagged, filtered.size):
                    found = outcome(rows, decisions, run.config.borderline)
                    count.update(_counted(rows, found))
                    if found.verdict == "keep":
                        lines.write(text.line(rows.record))
                    else:
                        rejects.write(json_line(_reject(rows, found, text.raw(rows.record))))
                    done += 1
                    if not done % 1000 or done == run.size:
                        progress("writing", done, run.size)
            entries[spec.name] = text.entry(f"{FOLDER}/{name}.jsonl", count["kept"])
    if empty := [name for name, entry in entries.items() if not entry["length"]]:
        raise ValueError(f"{', '.join(empty)}: no record is left; take the source out of the manifest")
    write_meta(run.out / MANIFEST, entries)
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


def _every_record(run: Run) -> Iterator[Flagged]:
    """All records of the run in order, without rows where no rule found anything."""
    flagged = read_flagged(run.out / VERDICT_FILE)
    found = next(flagged, None)
    for filtered in run.sources:
        for record in range(filtered.size):
            if found is not None and (found.source, found.record) == (filtered.source.name, record):
                yield found
                found = next(flagged, None)
            else:
                yield Flagged(filtered.source.name, record, ())


def _counted(rows: Flagged, found: Decision) -> Iterator[str]:
    """What a record counts as."""
    yield "kept" if found.verdict == "keep" else "rejected"
    natural = "drop" if rows.verdict == "drop" else "keep"
    if found.by == "person" and found.verdict != natural:
        yield "overruled"
    if found.by == "undecided":
        yield "undecided"


def _reject(rows: Flagged, found: Decision, raw: str) -> dict[str, Any]:
    """A rejected record with who rejected it, why, and its text."""
    reasons = [{key: row[key] for key in TOLD} for row in rows.rows if row["verdict"] != "keep"]
    return {
        "source": rows.source, "record": rows.record, "by": found.by, "note": found.note,
        "reasons": reasons, "text": raw,
    }  # fmt: skip
