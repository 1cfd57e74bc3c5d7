"""What can be wrong with a record, each fault named by place, field, reason and remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Reason(StrEnum):
    """The kinds of faults; the value is what a report prints."""

    BROKEN_JSON = "broken JSON"
    BAD_UTF8 = "bad UTF-8"
    BAD_FIELD = "bad field"
    UNKNOWN_ROLE = "unknown role"
    ROLE_ORDER = "roles do not alternate"
    EMPTY_ANSWER = "empty answer"
    EMPTY_QUESTION = "empty question"
    MARK_COUNT = "mark count mismatch"
    BAD_BOX = "box out of range"
    MISSING_FILE = "missing file"
    BROKEN_PICTURE = "unreadable picture"
    BROKEN_VIDEO = "video without frames"
    TOO_LONG = "too long"
    UNUSABLE = "can't be encoded"
    DUPLICATE_ID = "duplicate id"


REMEDIES: dict[Reason, str] = {
    Reason.BROKEN_JSON: "write one complete JSON object per line",
    Reason.BAD_UTF8: "save the file as UTF-8",
    Reason.BAD_FIELD: "see docs/conventions.md for the record format",
    Reason.UNKNOWN_ROLE: "use 'human', 'gpt' or a leading 'system'",
    Reason.ROLE_ORDER: "let 'human' and 'gpt' alternate, human first and gpt last",
    Reason.EMPTY_ANSWER: "write the answer or remove the turn",
    Reason.EMPTY_QUESTION: "write the question or remove the turn",
    Reason.MARK_COUNT: "write one <image> per picture and one <video> per clip in the human turns",
    Reason.BAD_BOX: "write [[x1, y1, x2, y2]] in integers 0 to 1000 of the whole picture, x1 <= x2, y1 <= y2",
    Reason.MISSING_FILE: "correct the path, or 'root' in the meta file",
    Reason.BROKEN_PICTURE: "replace the file: it can't be decoded to its end",
    Reason.BROKEN_VIDEO: "replace the clip or its start and end: no frame can be read",
    Reason.TOO_LONG: "shorten the record, lower max_dynamic_patch, or raise the pack capacity",
    Reason.UNUSABLE: "correct the record, or leave it out with on_fault=skip",
    Reason.DUPLICATE_ID: "give every record of a file its own id",
}


@dataclass(frozen=True)
class RecordFault:
    """One fault: where it is (file, line from 1, field), what it is and what to do about it."""

    file: Path
    line: int
    field: str
    reason: Reason
    detail: str

    @property
    def remedy(self) -> str:
        """What the user can do."""
        return REMEDIES[self.reason]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.reason} ({self.detail}); {self.remedy}"


class DataError(ValueError):
    """Faults that stop a run. The message lists the first of them and says how many more there are."""

    def __init__(self, faults: Sequence[RecordFault], shown: int = 20) -> None:
        self.faults = tuple(faults)
        super().__init__(describe(self.faults, shown))

    def __reduce__(self) -> tuple[type[DataError], tuple[tuple[RecordFault, ...]]]:
        """Pickles by its faults, so that it crosses from a worker process."""
        return type(self), (self.faults,)


def describe(faults: Sequence[RecordFault], shown: int = 20) -> str:
    """A bounded listing: counts per reason, then at most `shown` faults, one a line."""
    counts = Counter(str(fault.reason) for fault in faults)
    head = f"{len(faults)} faults in the data: " + ", ".join(f"{n} x {r}" for r, n in counts.most_common())
    lines = [head, *(f"  {fault}" for fault in faults[:shown])]
    if len(faults) > shown:
        lines.append(f"  and {len(faults) - shown} more")
    return "\n".join(lines)
