"""What can be wrong with a record, each fault named by place, field, reason and remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from tessera.runtime.shown import shown, visible


class Reason(StrEnum):
    """The kinds of faults: what a report prints, and the remedy, what the user can do."""

    remedy: str

    def __new__(cls, value: str, remedy: str) -> Self:
        member = str.__new__(cls, value)
        member._value_, member.remedy = value, remedy
        return member

    BROKEN_JSON = "broken JSON", "write one complete JSON object per record"
    DEEP_JSON = "JSON nested too deep", "flatten the record: no form needs more than a few levels"
    BAD_UTF8 = "bad UTF-8", "save the file as UTF-8"
    LONG_RECORD = "record too large", "keep pictures in files and split the record"
    BROKEN_ARCHIVE = "unreadable shard", "fetch or write the shard again"
    CHANGED = "file changed while it was read", "start again when nothing writes to the file any more"
    UNKNOWN_FORM = "unknown form", "see docs/data_formats.md for the forms, or set 'format' in the manifest"
    OTHER_FORM = "another form than its file", "keep one form per file, or set 'format' in the manifest"
    BAD_FIELD = "bad field", "see docs/data_formats.md for the record's form"
    NUL = "NUL character", "remove the character \\u0000"
    LONE_SURROGATE = "lone surrogate", "write the character whole: half of a surrogate pair is no text"
    UNKNOWN_ROLE = "unknown role", "use the role names of the form, in docs/data_formats.md"
    ROLE_ORDER = (
        "roles do not alternate",
        "let questions and answers alternate, a question first and an answer last",
    )
    EMPTY_ANSWER = "empty answer", "write the answer or remove the turn"
    OTHER_PROMPT = (
        "prompts differ",
        "let both answers follow the same turns, pictures and clips; only the last turns may differ",
    )
    PAIR = (
        "two answers where one is trained",
        "train pairs with the objective 'preference' (tessera tune --method mpo), or leave the record out",
    )
    ONE_ANSWER = (
        "one answer where two are compared",
        "write a rejected answer beside it, or train it with the objective 'conversation'",
    )
    SAME_ANSWER = "equal answers", "leave the record out: answers that are the same teach no preference"
    EMPTY_QUESTION = "empty question", "write the question or remove the turn"
    EMPTY_DOCUMENT = "empty document", "leave the record out: it has neither text nor pictures"
    DOCUMENT = "document outside pre-training", "set 'pretraining: true' for this source in the manifest"
    MARK_COUNT = (
        "mark count mismatch",
        "write one <image> per picture and one <video> per clip in the human turns",
    )
    FOREIGN_MARK = (
        "mark of another tool",
        "write <image> where the picture stands and <video> where the clip does, or set "
        "'foreign_marks: words' for this source in the manifest",
    )
    UNKNOWN_KEY = (
        "unknown key that looks needed",
        "rename the key, remove it, or list it under 'ignored_keys' of this source in the manifest",
    )
    BAD_BOX = (
        "box out of range",
        "write [[x1, y1, x2, y2]] in integers 0 to 1000 of the whole picture, x1 <= x2, y1 <= y2",
    )
    OUTSIDE_ROOT = (
        "path outside the root",
        "set 'root' in the manifest to the folder that holds the files, and write paths from there",
    )
    MISSING_FILE = "missing file", "correct the path, or 'root' in the manifest"
    UNREACHABLE = "storage failed", "try again, and check address and credentials"
    EMPTY_FILE = "empty file", "replace the file: it has no bytes"
    NOT_A_PICTURE = "not a picture", "replace the file: its content is no picture, whatever its name ends in"
    HUGE_PICTURE = "picture too large", "scale the picture down, or leave the record out"
    BROKEN_PICTURE = "unreadable picture", "replace the file: it can't be decoded to its end"
    WRONG_SIZE = (
        "stated size is wrong",
        "correct or remove width and height: the file's header says otherwise",
    )
    NOT_A_VIDEO = "not a video", "replace the file: its content is no video, whatever its name ends in"
    NOT_A_SOUND = "not a sound", "replace the file: there is no sound in it, whatever its name ends in"
    HUGE_SOUND = "sound too long", "cut the sound or bound it, or leave the record out"
    BROKEN_SOUND = "unreadable sound", "replace the file: it can't be decoded to its end"
    HUGE_VIDEO = "video too large", "cut or scale the clip, or leave the record out"
    CUT_VIDEO = (
        "unreadable frames",
        "replace the file: it is cut off or damaged, or give bounds around the damage",
    )
    BROKEN_VIDEO = "video without frames", "replace the clip or its start and end: no frame can be read"
    TOO_LONG = "too long", "shorten the record, lower max_dynamic_patch, or raise the pack capacity"
    UNUSABLE = "can't be encoded", "correct the record, or leave it out with on_fault=skip"


@dataclass(frozen=True)
class RecordFault:
    """One fault: where it is, what it is and what to do about it.

    file: a path, or the URL of a remote file. line: from 1; where a file has no lines,
    the number of the record. advice: what helps here, where the reason's own remedy would mislead.
    """

    file: Path | str
    line: int
    field: str
    reason: Reason
    detail: str
    advice: str = ""

    @property
    def remedy(self) -> str:
        """What the user can do."""
        return self.advice or self.reason.remedy

    def __str__(self) -> str:
        what = f"{self.line}: {self.field}: {self.reason} ({self.detail}); {self.remedy}"
        return f"{shown(self.file, bare=True)}:{visible(what, keep='')}"


class DataError(ValueError):
    """Faults that stop a run. The message lists the first of them and says how many more there are."""

    def __init__(self, faults: Sequence[RecordFault], listed: int = 20) -> None:
        self.faults = tuple(faults)
        super().__init__(describe(self.faults, listed))

    def __reduce__(self) -> tuple[type[DataError], tuple[tuple[RecordFault, ...]]]:
        """Pickles by its faults, so that it crosses from a worker process."""
        return type(self), (self.faults,)


def describe(faults: Sequence[RecordFault], listed: int = 20) -> str:
    """A bounded listing: counts per reason, then at most `listed` faults, one a line."""
    counts = Counter(str(fault.reason) for fault in faults)
    head = f"{len(faults)} faults in the data: " + ", ".join(f"{n} x {r}" for r, n in counts.most_common())
    lines = [head, *(f"  {fault}" for fault in faults[:listed])]
    if len(faults) > listed:
        lines.append(f"  and {len(faults) - listed} more")
    return "\n".join(lines)
