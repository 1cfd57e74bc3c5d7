"""Rows and decisions brought together: what becomes of every record that has either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tessera.curation.filters.decisions import Choice, Decision, Decisions
from tessera.curation.filters.rules.finding import Verdict, worst

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
        """The worst of the rows."""
        return worst([row["verdict"] for row in self.rows])

    @property
    def unreadable(self) -> bool:
        """Whether the record itself is broken."""
        return any(row["rule"] in UNREADABLE for row in self.rows)


@dataclass(frozen=True)
class Outcome:
    """What becomes of a record and who said so."""

    verdict: Choice
    by: str
    note: str = ""


def read_flagged(file: Path) -> Iterator[Flagged]:
    """Records with rows, in the order of the run."""
    with file.open(encoding="utf-8") as lines:
        rows = map(json.loads, lines)
        for (source, record), group in groupby(rows, key=lambda row: (row["source"], row["record"])):
            yield Flagged(source, record, tuple(group))


def outcome(flagged: Flagged, decisions: Decisions, borderline: Choice) -> Outcome:
    """The person's word, else the rules'; `borderline` is what undecided borderline records become.

    ValueError when a record that can't be read shall be kept.
    """
    decision: Decision | None = decisions.get((flagged.source, flagged.record))
    if decision is not None:
        if flagged.unreadable and decision.verdict == "keep":
            row = flagged.rows[0]
            raise ValueError(
                f"decisions: {flagged.source} {flagged.record} ({row['file']}:{row['line']}) can't be kept: "
                f"{row['excerpt']}; repair the record and run again"
            )
        return Outcome(decision.verdict, "person", decision.note)
    if flagged.verdict == "borderline":
        return Outcome(borderline, "undecided")
    return Outcome("drop" if flagged.verdict == "drop" else "keep", "rules")
