"""What was left out and why: faults of the input, and rules that leave out what can't be asked fairly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO

from tessera.records.writing import json_line
from tessera.runtime.shown import shown

SHOWN = 20
"""Most faults that are told in words."""
LONGEST = 400
"""Most characters of a detail."""


class Fault(StrEnum):
    """Something is wrong with the input; past `max_faults` of all items they stop the build."""

    def __new__(cls, reason: str, remedy: str) -> Fault:
        """A reason, which is the value, and what the user can do."""
        fault = str.__new__(cls, reason)
        fault._value_, fault.remedy = reason, remedy
        return fault

    remedy: str

    BAD_ROW = "row can't be read", "see docs/data_build.md for the format"
    MISSING_PICTURE = "missing picture", "correct the name, or --root"
    BROKEN_PICTURE = "unreadable picture", "replace the file"
    OUTSIDE_ROOT = "path outside the root", "set --root to a folder that holds it"
    OTHER_SIZE = "picture has another size", "annotate this very file: boxes of another size would be wrong"
    UNKNOWN_PICTURE = "unknown image_id", "list the picture under 'images'"
    UNKNOWN_CATEGORY = "unknown category_id", "list the id under 'categories'"
    UNKNOWN_VIEW = "unknown view", "name one of the record's views"
    BAD_BOX = "box without an area", "write finite pixels with width and height above 0"
    OUTSIDE_PICTURE = "box outside the picture", "boxes are in pixels of the original picture"
    EMPTY_TEXT = "empty text", "write the text or remove the row"
    MARK_IN_TEXT = "special mark in a text", "remove the mark: it would change the prompt"
    NO_ANSWER = "question without answer", "write the answer or remove the question"
    REFUSED = "record fails the check", "correct the annotation"


class SkipReason(StrEnum):
    """Sound input that is left out, or changed, on purpose."""

    CLIPPED = "box clipped to the picture"
    CROWD = "crowd region"
    TINY = "box too small"
    DIFFICULT = "marked as difficult"
    TOO_MANY = "more boxes than max_boxes"
    ILLEGIBLE = "illegible text"
    NOTHING = "nothing to ask"
    OTHER_SIDE = "picture is on the other side of the split"


class Rejected(ValueError):
    """An item is left out; caught where items are walked through, by `RejectLog.catching`."""

    def __init__(self, reason: Fault | SkipReason, detail: str) -> None:
        super().__init__(f"{reason} ({detail})")
        self.reason, self.detail = reason, detail


@dataclass
class RejectLog:
    """Counts of a build on its way; every reject is also a line of `rejects`, the first faults are told."""

    rejects: IO[bytes]
    items: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    @contextmanager
    def catching(self, place: str, items: int = 0) -> Iterator[None]:
        """So many more items of the input; what is rejected in the block is counted and written down."""
        self.items += items
        try:
            yield
        except Rejected as error:
            self.reject(place, error.reason, error.detail)

    def reject(self, place: str, reason: Fault | SkipReason, detail: str) -> None:
        """Count an item that is left out, and write it down."""
        place, detail = shown(place, bare=True), shown(detail, LONGEST, bare=True)
        fault = isinstance(reason, Fault)
        (self.faults if fault else self.rules)[str(reason)] += 1
        if isinstance(reason, Fault) and len(self.first) < SHOWN:
            self.first.append(f"{place}: {reason} ({detail}); {reason.remedy}")
        self.rejects.write(json_line({"place": place, "reason": reason, "fault": fault, "detail": detail}))

    def check(self, max_faults: float) -> None:
        """ValueError with the first fault when more than this share of the items has one."""
        faults = self.faults.total()
        if faults and faults > max_faults * max(1, self.items):
            share = f"{faults} of {self.items} items have faults, more than max_faults={max_faults:g}"
            raise ValueError(f"{share}; first: {self.first[0]}")
