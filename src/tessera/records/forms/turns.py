"""What forms with marks in texts have in common: turns with roles, and media in the places of marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tessera.chat.message import Conversation, Image, Message, Part, Role, Text, Video, say
from tessera.records.boxes import box_problems
from tessera.records.faults import Reason
from tessera.records.record import Parse, RecordPlace, listed, short

MARKS = {"<image>": "image", "<video>": "video"}
_MARKS = re.compile(r"(<image>|<video>)")


@dataclass(frozen=True)
class Turn:
    """A turn as read: role, text with marks, where it stands, and whether an answer is supervised."""

    role: Role
    text: str
    where: str
    trained: bool = True


@dataclass(frozen=True)
class Media:
    """Pictures and clips of a record in the order of their marks, and the keys they came from."""

    images: Sequence[Image] = ()
    videos: Sequence[Video] = ()
    names: tuple[str, str] = ("image", "video")

    def named(self) -> Iterator[tuple[str, str, int]]:
        """Mark, key and number of both kinds; clips first, as the clip of a record goes in front."""
        yield "<video>", self.names[1], len(self.videos)
        yield "<image>", self.names[0], len(self.images)


def read_turns(
    parse: Parse, entries: object, where: str, roles: Mapping[str, Role], keys: tuple[str, str]
) -> list[Turn]:
    """Turns `{keys[0]: role, keys[1]: text}`, checked one by one and in order."""
    if not isinstance(entries, list) or not entries:
        parse.fault(where, Reason.BAD_FIELD, "missing, empty or not a list")
        return []
    turns = [turn for n, e in enumerate(entries) if (turn := _turn(parse, f"{where}[{n}]", e, roles, keys))]
    if len(turns) == len(entries):
        check_order(parse, turns, keys[0])
    return turns


def _turn(
    parse: Parse, where: str, entry: object, roles: Mapping[str, Role], keys: tuple[str, str]
) -> Turn | None:
    """One turn; None with a fault when role or text can't be read."""
    role_key, text_key = keys
    if not isinstance(entry, dict) or not isinstance(entry.get(text_key), str):
        parse.fault(where, Reason.BAD_FIELD, f"not an object with the texts {role_key!r} and {text_key!r}")
        return None
    name, text = entry.get(role_key), entry[text_key]
    if not isinstance(name, str) or name not in roles:
        parse.fault(
            f"{where}.{role_key}", Reason.UNKNOWN_ROLE, f"{short(name)} is none of {', '.join(roles)}"
        )
        return None
    check_text(parse, f"{where}.{text_key}", roles[name], text)
    return Turn(roles[name], text, where)


def check_text(parse: Parse, where: str, role: Role, text: str) -> None:
    """The faults of a turn's text: characters that are none, nothing said, boxes."""
    if not parse.sound(where, text):
        return
    if not text.strip() and role != "system" and not parse.place.pretraining:
        reason = Reason.EMPTY_ANSWER if role == "assistant" else Reason.EMPTY_QUESTION
        parse.fault(where, reason, short(text))
    for problem in box_problems(text, strict=role == "assistant"):
        parse.fault(where, Reason.BAD_BOX, problem)


def check_order(parse: Parse, turns: Sequence[Turn], role_key: str) -> None:
    """After an optional system turn: user, assistant, user, … and an assistant at the end."""
    if parse.place.pretraining:
        return
    first = 1 if turns[0].role == "system" else 0
    expected: tuple[Role, Role] = ("user", "assistant")
    for number, turn in enumerate(turns[first:]):
        if turn.role != expected[number % 2]:
            detail = f"{turn.role} where {expected[number % 2]} is due"
            parse.fault(f"{turn.where}.{role_key}", Reason.ROLE_ORDER, detail)
            return
    if turns[-1].role != "assistant":
        parse.fault(f"{turns[-1].where}.{role_key}", Reason.ROLE_ORDER, "no answer at the end")


def read_images(parse: Parse, record: Mapping[str, Any], key: str) -> list[Image]:
    """The pictures under a key: one or a list."""
    values = listed(record.get(key))
    sources = [parse.picture(key, value) for value in values]
    return share_tiles(parse.place, [Image(source) for source in sources if source is not None])


def share_tiles(place: RecordPlace, images: Sequence[Image]) -> list[Image]:
    """Pictures share the tile limit of the source, as in the published code (facts 3.5)."""
    if place.max_tiles is None:
        return list(images)
    share = max(1, place.max_tiles // max(1, len(images)))
    return [replace(image, max_tiles=share) for image in images]


def read_videos(parse: Parse, record: Mapping[str, Any], key: str) -> list[Video]:
    """The clips under a key, bounded by `clip`: `[start, end]` of a single one, or one or null for each."""
    values, clip = listed(record.get(key)), record.get("clip")
    sources = [read_clip(parse, key, value) for value in values]
    if clip is None:
        return [video for video in sources if video is not None]
    clips = [clip] if len(values) == 1 and not _nested(clip) else clip
    if not isinstance(clips, list) or len(clips) != len(values):
        parse.fault(
            "clip", Reason.BAD_FIELD, f"{short(clip)} is not [start, end] for each of {len(values)} videos"
        )
        return []
    bounds = [(None, None) if c is None else parse.bounds("clip", c) for c in clips]
    return [replace(v, start=b[0], end=b[1]) for v, b in zip(sources, bounds, strict=True) if v and b]


def read_clip(parse: Parse, where: str, value: object) -> Video | None:
    """A file or a folder of frames as a clip; None with a fault."""
    source = parse.file(where, value)
    if isinstance(source, bytes):
        parse.fault(where, Reason.BAD_FIELD, "bytes can't be a clip; keep clips in files")
        return None
    return None if source is None else Video(source)


def conversation_of(parse: Parse, turns: Sequence[Turn], media: Media) -> Conversation:
    """Turns with media in the places of their marks. DataError with all faults of the record."""
    turns = _prefix_missing_mark(parse.place, turns, media)
    _check_marks(parse, turns, media)
    if parse.faults:
        parse.stop()
    queue: dict[str, Iterator[Part]] = {"<image>": iter(media.images), "<video>": iter(media.videos)}
    return with_system(parse.place, tuple(_message(parse.place, turn, queue) for turn in turns))


def with_system(place: RecordPlace, messages: tuple[Message, ...]) -> Conversation:
    """The source's system text goes in front of records that have none; documents have no roles."""
    if place.system is not None and not place.pretraining and messages[0].role != "system":
        messages = (say("system", place.system), *messages)
    return Conversation(messages)


def _nested(clip: object) -> bool:
    return isinstance(clip, list) and all(item is None or isinstance(item, list) for item in clip)


def _marked(place: RecordPlace, turn: Turn) -> bool:
    """Marks outside questions are words, as in the published rule of 2.5 (facts 5.5); documents have none."""
    return turn.role == "user" or place.pretraining


def _prefix_missing_mark(place: RecordPlace, turns: Sequence[Turn], media: Media) -> Sequence[Turn]:
    """A single picture (or clip) that no question marks goes first, on a line of its own."""
    for mark, _, count in media.named():
        if count == 1 and not _count(place, turns, mark):
            first = next((number for number, turn in enumerate(turns) if _marked(place, turn)), None)
            if first is not None:
                turns = [
                    replace(turn, text=f"{mark}\n{turn.text}") if number == first else turn
                    for number, turn in enumerate(turns)
                ]
    return turns


def _check_marks(parse: Parse, turns: Sequence[Turn], media: Media) -> None:
    """As many marks as files, of each kind."""
    for mark, key, count in media.named():
        marks = _count(parse.place, turns, mark)
        spoiled = any(fault.field in (key, "clip") for fault in parse.faults)
        if marks != count and turns and not spoiled:
            parse.fault(key, Reason.MARK_COUNT, f"{marks} {mark} in human turns, {count} files")


def _count(place: RecordPlace, turns: Sequence[Turn], mark: str) -> int:
    return sum(turn.text.count(mark) for turn in turns if _marked(place, turn))


def _message(place: RecordPlace, turn: Turn, queue: dict[str, Iterator[Part]]) -> Message:
    """A turn as parts."""
    if not _marked(place, turn):
        return Message(turn.role, (Text(turn.text),), turn.trained)
    pieces = [piece for piece in _MARKS.split(turn.text) if piece]
    parts = tuple(next(queue[piece]) if piece in queue else Text(piece) for piece in pieces)
    return Message(turn.role, parts, turn.trained)
