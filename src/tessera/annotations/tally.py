"""What was left out and why: faults of the input, and rules that leave out what can't be asked fairly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """Something is wrong with the input; past `max_faults` of all items they stop the build."""

    BAD_ROW = "row can't be read"
    MISSING_PICTURE = "missing picture"
    BROKEN_PICTURE = "unreadable picture"
    OUTSIDE_ROOT = "path outside the root"
    OTHER_SIZE = "picture has another size"
    UNKNOWN_PICTURE = "unknown image_id"
    UNKNOWN_CATEGORY = "unknown category_id"
    UNKNOWN_VIEW = "unknown view"
    BAD_BOX = "box without an area"
    OUTSIDE_PICTURE = "box outside the picture"
    EMPTY_TEXT = "empty text"
    MARK_IN_TEXT = "special mark in a text"
    NO_ANSWER = "question without answer"
    REFUSED = "record fails the check"


class Rule(StrEnum):
    """Sound input that is left out, or changed, on purpose."""

    CLIPPED = "box clipped to the picture"
    CROWD = "crowd region"
    TINY = "box too small"
    DIFFICULT = "marked as difficult"
    TOO_MANY = "more boxes than max_boxes"
    ILLEGIBLE = "illegible text"
    NOTHING = "nothing to ask"
    OTHER_SIDE = "picture is on the other side of the split"


REMEDIES: dict[Fault, str] = {
    Fault.BAD_ROW: "see docs/data_build.md for the format",
    Fault.MISSING_PICTURE: "correct the name, or --root",
    Fault.BROKEN_PICTURE: "replace the file",
    Fault.OUTSIDE_ROOT: "set --root to a folder that holds it",
    Fault.OTHER_SIZE: "annotate this very file: boxes of another size would be wrong",
    Fault.UNKNOWN_PICTURE: "list the picture under 'images'",
    Fault.UNKNOWN_CATEGORY: "list the id under 'categories'",
    Fault.UNKNOWN_VIEW: "name one of the record's views",
    Fault.BAD_BOX: "write finite pixels with width and height above 0",
    Fault.OUTSIDE_PICTURE: "boxes are in pixels of the original picture",
    Fault.EMPTY_TEXT: "write the text or remove the row",
    Fault.MARK_IN_TEXT: "remove the mark: it would change the prompt",
    Fault.NO_ANSWER: "write the answer or remove the question",
    Fault.REFUSED: "correct the annotation",
}


class Rejected(ValueError):
    """An item is left out; caught where items are walked through."""

    def __init__(self, reason: Fault | Rule, detail: str) -> None:
        super().__init__(f"{reason} ({detail})")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Reject:
    """One item that was left out: where it stands, why, and what to do when it is a fault."""

    place: str
    reason: Fault | Rule
    detail: str

    def __str__(self) -> str:
        remedy = f"; {REMEDIES[self.reason]}" if isinstance(self.reason, Fault) else ""
        return f"{self.place}: {self.reason} ({self.detail}){remedy}"

    def as_row(self) -> dict[str, object]:
        """Plain values for the rejects file."""
        fault = isinstance(self.reason, Fault)
        return {"place": self.place, "reason": str(self.reason), "fault": fault, "detail": self.detail}


@dataclass
class Tally:
    """Counts of a build on its way; every reject also goes to `write`."""

    write: Callable[[Reject], None]
    shown: int = 20
    items: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    first: list[Reject] = field(default_factory=list)

    def reject(self, place: str, error: Rejected) -> None:
        """Count an item that is left out, and write it down."""
        found = Reject(place, error.reason, error.detail)
        if isinstance(found.reason, Fault):
            self.faults[str(found.reason)] += 1
            if len(self.first) < self.shown:
                self.first.append(found)
        else:
            self.rules[str(found.reason)] += 1
        self.write(found)

    def note(self, rule: Rule) -> None:
        """Count a rule that changed something without leaving it out."""
        self.rules[str(rule)] += 1

    def check(self, max_faults: float) -> None:
        """ValueError with the first fault when more than this share of the items has one."""
        faults = sum(self.faults.values())
        if faults and faults > max_faults * max(1, self.items):
            share = f"{faults} of {self.items} items have faults, more than max_faults={max_faults:g}"
            raise ValueError(f"{share}; first: {self.first[0]}")
