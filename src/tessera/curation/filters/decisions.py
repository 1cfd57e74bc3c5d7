"""What people decided: the review page's download, or JSON lines with source, record and verdict."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Choice = Literal["keep", "drop"]


@dataclass(frozen=True)
class Decision:
    """One record that a person decided on."""

    verdict: Choice
    note: str = ""


Decisions = dict[tuple[str, int], Decision]
"""(source, record from 0) -> decision"""


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
        decision = Decision("keep" if verdict == "keep" else "drop", str(entry.get("note", "")))
        earlier = found.setdefault((name, record), decision)
        if earlier.verdict != decision.verdict:
            raise ValueError(
                f"{where}: {name} {record} is {verdict} here and {earlier.verdict} before; leave one"
            )
    return found


def _entries(file: Path, stamp: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and object of every entry."""
    text = file.read_text(encoding="utf-8")
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        whole = None
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
            try:
                yield f"{file}:{number}", json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(
                    f"{file}:{number}: not a JSON object: {error.msg}; write one a line"
                ) from error


def _checked(where: str, entry: Any, sizes: dict[str, int]) -> tuple[str, int, str]:
    """Source, record and verdict of an entry."""
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: {entry!r} is not an object with source, record and verdict")
    name, record, verdict = entry.get("source"), entry.get("record"), entry.get("verdict")
    if not isinstance(name, str) or name not in sizes:
        raise ValueError(f"{where}: source {name!r} is unknown; choose among {', '.join(sizes)}")
    if type(record) is not int or not 0 <= record < sizes[name]:
        raise ValueError(f"{where}: record {record!r} of {name}: give a number from 0 to {sizes[name] - 1}")
    if verdict not in ("keep", "drop", "borderline"):
        raise ValueError(f"{where}: verdict {verdict!r}; write keep or drop")
    return name, record, str(verdict)
