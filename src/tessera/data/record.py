r"""One record of InternVL's JSONL format (facts 5.2) as a conversation, or every fault it has.

`image` is a path or a list of paths, `video` a path or a list, `clip` the seconds [start, end]. `<image>` and
`<video>` in human turns mark where media stand; with one picture or clip and no mark, it goes first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessera.chat.message import Conversation, Image, Message, Part, Role, Text, Video
from tessera.data.boxes import box_problems
from tessera.data.faults import DataError, Reason, RecordFault

ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant", "system": "system"}
_MARKS = re.compile(r"(<image>|<video>)")


@dataclass(frozen=True)
class RecordPlace:
    """Where a record stands and how its media are found: file, line (from 1), media root, tile limit."""

    file: Path
    line: int
    root: Path
    max_tiles: int | None = None


@dataclass
class _Parse:
    """One record on its way; faults gather here so that all of them are told at once."""

    place: RecordPlace
    faults: list[RecordFault] = field(default_factory=list)

    def fault(self, where: str, reason: Reason, detail: str) -> None:
        self.faults.append(RecordFault(self.place.file, self.place.line, where, reason, detail))


def parse_record(record: object, place: RecordPlace) -> Conversation:
    """A record (parsed JSON) as a conversation. Raises DataError with all faults of its text and structure.

    Media files are not opened here: see `check`. Keys other than the ones above are allowed and ignored,
    as public InternVL annotations carry many.
    """
    parse = _Parse(place)
    if not isinstance(record, dict):
        parse.fault("record", Reason.BAD_FIELD, f"{type(record).__name__} instead of an object")
        raise DataError(parse.faults)
    turns = _turns(parse, record)
    images = _images(parse, record)
    videos = _videos(parse, record)
    turns = _prefix_missing_mark(turns, len(images), len(videos))
    _check_marks(parse, turns, len(images), len(videos))
    if parse.faults:
        raise DataError(parse.faults)
    queue = {"<image>": iter(images), "<video>": iter(videos)}
    return Conversation(tuple(_message(role, text, queue) for role, text in turns))


def _turns(parse: _Parse, record: dict[str, Any]) -> list[tuple[Role, str]]:
    """Role and text of every turn, checked one by one and in order."""
    conversations = record.get("conversations")
    if not isinstance(conversations, list) or not conversations:
        parse.fault("conversations", Reason.BAD_FIELD, "missing, empty or not a list")
        return []
    turns = [t for number, turn in enumerate(conversations) if (t := _turn(parse, number, turn))]
    if len(turns) == len(conversations):
        _check_order(parse, [role for role, _ in turns])
    return turns


def _turn(parse: _Parse, number: int, turn: object) -> tuple[Role, str] | None:
    """One turn; None with a fault when role or text can't be read."""
    where = f"conversations[{number}]"
    if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
        parse.fault(where, Reason.BAD_FIELD, "not an object with the texts 'from' and 'value'")
        return None
    name, text = turn.get("from"), turn["value"]
    if not isinstance(name, str) or name not in ROLES:
        parse.fault(f"{where}.from", Reason.UNKNOWN_ROLE, f"{name!r}")
        return None
    if not text.strip() and name != "system":
        reason = Reason.EMPTY_ANSWER if name == "gpt" else Reason.EMPTY_QUESTION
        parse.fault(f"{where}.value", reason, f"{text!r}")
    for problem in box_problems(text, strict=name == "gpt"):
        parse.fault(f"{where}.value", Reason.BAD_BOX, problem)
    return ROLES[name], text


def _check_order(parse: _Parse, roles: list[Role]) -> None:
    """After an optional system turn: user, assistant, user, … and an assistant at the end."""
    first = 1 if roles[0] == "system" else 0
    expected: tuple[Role, Role] = ("user", "assistant")
    for number, role in enumerate(roles[first:]):
        if role != expected[number % 2]:
            detail = f"{role} where {expected[number % 2]} is due"
            parse.fault(f"conversations[{first + number}].from", Reason.ROLE_ORDER, detail)
            return
    if roles[-1] != "assistant":
        parse.fault(f"conversations[{len(roles) - 1}].from", Reason.ROLE_ORDER, "no answer at the end")


def _paths(parse: _Parse, record: dict[str, Any], key: str) -> list[str]:
    """The value of `image` or `video` as a list of paths."""
    value = record.get(key)
    if value is None:
        return []
    paths = value if isinstance(value, list) else [value]
    if not all(isinstance(path, str) and path for path in paths):
        parse.fault(key, Reason.BAD_FIELD, f"{value!r} is not a path or a list of paths")
        return []
    return paths


def _images(parse: _Parse, record: dict[str, Any]) -> list[Image]:
    """Pictures; they share the dataset's tile limit as in the published code (facts 3.5)."""
    paths, limit = _paths(parse, record, "image"), parse.place.max_tiles
    share = None if limit is None else max(1, limit // max(1, len(paths)))
    return [Image(parse.place.root / path, share) for path in paths]


def _videos(parse: _Parse, record: dict[str, Any]) -> list[Video]:
    """Clips with their bounds; `clip` bounds a single video."""
    paths, clip = _paths(parse, record, "video"), record.get("clip")
    if clip is None:
        return [Video(parse.place.root / path) for path in paths]
    numbers = isinstance(clip, list) and all(type(second) in (int, float) for second in clip)
    if len(paths) != 1 or not numbers or len(clip) != 2 or not 0 <= clip[0] < clip[1]:
        parse.fault("clip", Reason.BAD_FIELD, f"{clip!r} is not [start, end] in seconds of one video")
        return []
    return [Video(parse.place.root / paths[0], float(clip[0]), float(clip[1]))]


def _prefix_missing_mark(turns: list[tuple[Role, str]], images: int, videos: int) -> list[tuple[Role, str]]:
    """A single picture (or clip) that no human turn marks goes first, on a line of its own."""
    for mark, count in (("<video>", videos), ("<image>", images)):
        if count == 1 and not _count(turns, mark):
            first = next((number for number, (role, _) in enumerate(turns) if role == "user"), None)
            if first is not None:
                turns = [
                    (role, f"{mark}\n{text}" if number == first else text)
                    for number, (role, text) in enumerate(turns)
                ]
    return turns


def _check_marks(parse: _Parse, turns: list[tuple[Role, str]], images: int, videos: int) -> None:
    """As many marks as files, of each kind."""
    for mark, name, count in (("<image>", "image", images), ("<video>", "video", videos)):
        marks = _count(turns, mark)
        spoiled = any(fault.field in (name, "clip") for fault in parse.faults)
        if marks != count and turns and not spoiled:
            parse.fault(name, Reason.MARK_COUNT, f"{marks} {mark} in human turns, {count} files")


def _count(turns: list[tuple[Role, str]], mark: str) -> int:
    return sum(text.count(mark) for role, text in turns if role == "user")


def _message(role: Role, text: str, queue: dict[str, Any]) -> Message:
    """A turn as parts. Marks outside human turns are words, as in the published rule of 2.5 (facts 5.5)."""
    if role != "user":
        return Message(role, (Text(text),))
    pieces = [piece for piece in _MARKS.split(text) if piece]
    parts: list[Part] = [next(queue[piece]) if piece in queue else Text(piece) for piece in pieces]
    return Message(role, tuple(parts))
