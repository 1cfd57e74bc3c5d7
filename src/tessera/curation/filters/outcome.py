"""Rows and people's decisions brought together: what becomes of every record that has either."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from tessera.curation.filters.rules.finding import VERDICTS, Verdict, worst

Choice = Literal["keep", "drop"]
UNREADABLE = ("faulty", "empty_answer")
"""Rules whose records no trainer can read: nobody can keep them."""


@dataclass(frozen=True)
class Flagged:
    """The rows of one record, as written in `verdicts.jsonl`, with their worst verdict."""

    source: str
    record: int
    rows: tuple[dict[str, Any], ...]

    @property
    def verdict(self) -> Verdict:
        return worst([row["verdict"] for row in self.rows])

    @property
    def unreadable(self) -> bool:
        return any(row["rule"] in UNREADABLE for row in self.rows)


@dataclass(frozen=True)
class Decision:
    """What becomes of a record, and whether a person, the rules or nobody ("undecided") said so."""

    verdict: Choice
    note: str = ""
    by: Literal["person", "rules", "undecided"] = "person"


Decisions = dict[tuple[str, int], Decision]
"""(source, record from 0) -> decision"""


def read_flagged(file: Path) -> Iterator[Flagged]:
    """Records with rows, in the order of the run."""
    with file.open(encoding="utf-8") as lines:
        rows = map(json.loads, lines)
        for (source, record), group in groupby(rows, key=lambda row: (row["source"], row["record"])):
            yield Flagged(source, record, tuple(group))


def outcome(flagged: Flagged, decisions: Decisions, borderline: Choice) -> Decision:
    """The person's word, else the rules'; `borderline` is what undecided borderline records become.

    ValueError when a record that can't be read shall be kept.
    """
    decision = decisions.get((flagged.source, flagged.record))
    if decision is None:
        if flagged.verdict == "borderline":
            return Decision(borderline, by="undecided")
        return Decision(flagged.verdict, by="rules")
    if flagged.unreadable and decision.verdict == "keep":
        row = flagged.rows[0]
        raise ValueError(
            f"decisions: {flagged.source} {flagged.record} ({row['file']}:{row['line']}) can't be kept: "
            f"{row['excerpt']}; repair the record and run again"
        )
    return decision


def read_decisions(file: Path, stamp: str, sources: Collection[tuple[str, int]]) -> Decisions:
    """Decisions of a file, checked against the run.

    The page's file is one object with "run" and "decisions"; any other is JSON lines, so rows of
    verdicts.jsonl with another verdict do, too: those that say borderline are left undecided. `sources` are
    names with their numbers of records. ValueError for a decision on another run, on an unknown record, or
    against another decision.
    """
    if not file.is_file():
        raise ValueError(f"--decisions {file}: no such file; check the path")
    sizes, found = dict(sources), Decisions()
    for where, entry in _entries(file, stamp):
        name, record, verdict = _checked(where, entry, sizes)
        if verdict == "borderline":
            continue
        earlier = found.setdefault((name, record), Decision(verdict, str(entry.get("note", ""))))
        if earlier.verdict != verdict:
            told = f"{verdict} here and {earlier.verdict} before"
            raise ValueError(f"{where}: {name} {record} is {told}; leave one")
    return found


def _entries(file: Path, stamp: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and object of every entry."""
    text = file.read_text(encoding="utf-8")
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        whole = None  # JSON lines
    if isinstance(whole, dict) and "decisions" in whole:
        if whole.get("run") != stamp:
            raise ValueError(
                f"{file}: it was made for another run (other data, settings or prompts); open the new review "
                "page, which keeps choices on records that are still there"
            )
        listed = whole["decisions"]
        if not isinstance(listed, list):
            raise ValueError(f"{file}: decisions: expected a list")
        yield from ((f"{file}: decisions[{number}]", entry) for number, entry in enumerate(listed))
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            where = f"{file}:{number}"
            try:
                yield where, json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{where}: not a JSON object: {error.msg}; write one a line") from error


def _checked(where: str, entry: Any, sizes: dict[str, int]) -> tuple[str, int, Verdict]:
    """Source, record and verdict of an entry."""
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: {entry!r} is not an object with source, record and verdict")
    name, record, verdict = entry.get("source"), entry.get("record"), entry.get("verdict")
    if not isinstance(name, str) or name not in sizes:
        raise ValueError(f"{where}: source {name!r} is unknown; choose among {', '.join(sizes)}")
    if type(record) is not int or not 0 <= record < sizes[name]:
        raise ValueError(f"{where}: record {record!r} of {name}: give a number from 0 to {sizes[name] - 1}")
    if verdict not in VERDICTS:
        raise ValueError(f"{where}: verdict {verdict!r}; write keep or drop")
    return name, record, verdict
