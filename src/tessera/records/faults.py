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
    DEEP_JSON = "JSON nested too deep"
    BAD_UTF8 = "bad UTF-8"
    LONG_RECORD = "record too large"
    BROKEN_ARCHIVE = "unreadable shard"
    UNKNOWN_FORM = "unknown form"
    OTHER_FORM = "another form than its file"
    BAD_FIELD = "bad field"
    NUL = "NUL character"
    LONE_SURROGATE = "lone surrogate"
    UNKNOWN_ROLE = "unknown role"
    ROLE_ORDER = "roles do not alternate"
    EMPTY_ANSWER = "empty answer"
    EMPTY_QUESTION = "empty question"
    EMPTY_DOCUMENT = "empty document"
    DOCUMENT = "document outside pre-training"
    MARK_COUNT = "mark count mismatch"
    BAD_BOX = "box out of range"
    OUTSIDE_ROOT = "path outside the root"
    MISSING_FILE = "missing file"
    UNREACHABLE = "storage failed"
    EMPTY_FILE = "empty file"
    NOT_A_PICTURE = "not a picture"
    HUGE_PICTURE = "picture too large"
    BROKEN_PICTURE = "unreadable picture"
    WRONG_SIZE = "stated size is wrong"
    NOT_A_VIDEO = "not a video"
    HUGE_VIDEO = "video too large"
    BROKEN_VIDEO = "video without frames"
    TOO_LONG = "too long"
    UNUSABLE = "can't be encoded"


REMEDIES: dict[Reason, str] = {
    Reason.BROKEN_JSON: "write one complete JSON object per record",
    Reason.DEEP_JSON: "flatten the record: no form needs more than a few levels",
    Reason.BAD_UTF8: "save the file as UTF-8",
    Reason.LONG_RECORD: "keep pictures in files and split the record",
    Reason.BROKEN_ARCHIVE: "fetch or write the shard again",
    Reason.UNKNOWN_FORM: "see docs/data_formats.md for the forms, or set 'format' in the manifest",
    Reason.OTHER_FORM: "keep one form per file, or set 'format' in the manifest",
    Reason.BAD_FIELD: "see docs/data_formats.md for the record's form",
    Reason.NUL: "remove the character \\u0000",
    Reason.LONE_SURROGATE: "write the character whole: half of a surrogate pair is no text",
    Reason.UNKNOWN_ROLE: "use the role names of the form, in docs/data_formats.md",
    Reason.ROLE_ORDER: "let questions and answers alternate, a question first and an answer last",
    Reason.EMPTY_ANSWER: "write the answer or remove the turn",
    Reason.EMPTY_QUESTION: "write the question or remove the turn",
    Reason.EMPTY_DOCUMENT: "leave the record out: it has neither text nor pictures",
    Reason.DOCUMENT: "set 'pretraining: true' for this source in the manifest",
    Reason.MARK_COUNT: "write one <image> per picture and one <video> per clip in the human turns",
    Reason.BAD_BOX: "write [[x1, y1, x2, y2]] in integers 0 to 1000 of the whole picture, x1 <= x2, y1 <= y2",
    Reason.OUTSIDE_ROOT: "set 'root' in the manifest to a folder that holds it; root '/' allows every file",
    Reason.MISSING_FILE: "correct the path, or 'root' in the manifest",
    Reason.UNREACHABLE: "try again, and check address and credentials",
    Reason.EMPTY_FILE: "replace the file: it has no bytes",
    Reason.NOT_A_PICTURE: "replace the file: its content is no picture, whatever its name ends in",
    Reason.HUGE_PICTURE: "scale the picture down, or leave the record out",
    Reason.BROKEN_PICTURE: "replace the file: it can't be decoded to its end",
    Reason.WRONG_SIZE: "correct or remove width and height: the file's header says otherwise",
    Reason.NOT_A_VIDEO: "replace the file: its content is no video, whatever its name ends in",
    Reason.HUGE_VIDEO: "cut or scale the clip, or leave the record out",
    Reason.BROKEN_VIDEO: "replace the clip or its start and end: no frame can be read",
    Reason.TOO_LONG: "shorten the record, lower max_dynamic_patch, or raise the pack capacity",
    Reason.UNUSABLE: "correct the record, or leave it out with on_fault=skip",
}


@dataclass(frozen=True)
class RecordFault:
    """One fault: where it is, what it is and what to do about it.

    file: a path, or the URL of a remote file. line: from 1; where a file has no lines,
    the number of the record.
    """

    file: Path | str
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
