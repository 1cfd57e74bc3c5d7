"""What forms with marks in texts have in common: turns with roles, and media in the places of marks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any, Literal

from tessera.chat.marks import count_asking, foreign_marks
from tessera.chat.message import (
    AUDIO_MARK,
    IMAGE_MARK,
    VIDEO_MARK,
    Audio,
    Image,
    Medium,
    Message,
    Role,
    Text,
    Video,
    fill_marks,
)
from tessera.chat.openai import bounds_problem
from tessera.records.boxes import box_problems
from tessera.records.faults import Reason
from tessera.records.record import Parse, RecordPlace, clips_in, is_empty, listed
from tessera.runtime.shown import shown

InFront = Literal["single", "all", "missing"]
"""Media without a mark that go in front of the first question: a single one, all if none is marked, any."""


@dataclass(frozen=True)
class RecordTurn:
    """A turn as read: role, text with marks, where it stands, and whether an answer is supervised."""

    role: Role
    text: str
    where: str
    trained: bool = True


@dataclass(frozen=True)
class RecordMedia:
    """Pictures, clips and sounds of a record in the order of their marks, and the keys they came from."""

    images: Sequence[Image] = ()
    videos: Sequence[Video] = ()
    audios: Sequence[Audio] = ()
    names: tuple[str, str, str] = ("image", "video", "audio")

    @property
    def some(self) -> bool:
        """Whether there are any."""
        return bool(self.images or self.videos or self.audios)

    def named(self) -> Iterator[tuple[str, str, Sequence[Medium]]]:
        """Mark, key and parts of each kind. Those without marks go in front in this order, so that pictures
        stand first, as in the released code of sounds."""
        yield AUDIO_MARK, self.names[2], self.audios
        yield VIDEO_MARK, self.names[1], self.videos
        yield IMAGE_MARK, self.names[0], self.images


def read_turns(
    parse: Parse,
    entries: object,
    where: str,
    roles: Mapping[str, Role],
    keys: tuple[str, str] = ("from", "value"),
    behind: Sequence[tuple[str, object]] = (),
) -> list[RecordTurn]:
    """Turns `{keys[0]: role, keys[1]: text}`, checked one by one and in order.

    behind: turns that stand elsewhere and follow these, with their places.
    """
    placed = [*((f"{where}[{n}]", entry) for n, entry in enumerate(parse.entries(where, entries))), *behind]
    turns = read_placed(parse, placed, roles, keys)
    if len(turns) == len(placed):
        check_order(parse, turns, keys[0])
    return turns


def read_placed(
    parse: Parse,
    placed: Sequence[tuple[str, object]],
    roles: Mapping[str, Role],
    keys: tuple[str, str] = ("from", "value"),
) -> list[RecordTurn]:
    """Turns with their places, checked one by one; fewer, with faults, where some can't be read."""
    read = (read_turn(parse, where, entry, roles, keys) for where, entry in placed)
    return [turn for turn in read if turn]


def read_turn(
    parse: Parse, where: str, entry: object, roles: Mapping[str, Role], keys: tuple[str, str]
) -> RecordTurn | None:
    """One turn; None with a fault when role or text can't be read."""
    role_key, text_key = keys
    if not isinstance(entry, dict) or not isinstance(entry.get(text_key), str):
        found = f"; it has {shown(', '.join(map(str, entry)), bare=True)}" if isinstance(entry, dict) else ""
        parse.fault(where, f"not an object with the texts {role_key!r} and {text_key!r}{found}")
        return None
    name, text = entry.get(role_key), entry[text_key]
    if not isinstance(name, str) or name not in roles:
        detail = f"{shown(name)} is none of {', '.join(roles)}"
        parse.fault(f"{where}.{role_key}", detail, Reason.UNKNOWN_ROLE)
        return None
    check_text(parse, f"{where}.{text_key}", roles[name], text)
    return RecordTurn(roles[name], text, where)


def check_text(parse: Parse, where: str, role: Role, text: str, wordless: bool = False) -> None:
    """The faults of a turn's text: characters that are none, nothing said (unless `wordless`), boxes."""
    if not parse.sound(where, text):
        return
    if not text.strip() and role != "system" and not wordless and not parse.place.pretraining:
        reason = Reason.EMPTY_ANSWER if role == "assistant" else Reason.EMPTY_QUESTION
        parse.fault(where, shown(text), reason)
    for problem in box_problems(text, strict=role == "assistant"):
        parse.fault(where, problem, Reason.BAD_BOX)


def check_order(parse: Parse, turns: Sequence[RecordTurn], role_key: str) -> None:
    """After an optional system turn: user, assistant, user, … and an assistant at the end."""
    if parse.place.pretraining or not turns:
        return
    said = turns[1:] if turns[0].role == "system" else turns
    for turn, due in zip(said, cycle(("user", "assistant")), strict=False):
        if turn.role != due:
            parse.fault(f"{turn.where}.{role_key}", f"{turn.role} where {due} is due", Reason.ROLE_ORDER)
            return
    if turns[-1].role != "assistant":
        parse.fault(f"{turns[-1].where}.{role_key}", "no answer at the end", Reason.ROLE_ORDER)


def read_media(parse: Parse, fields: Mapping[str, Any]) -> RecordMedia:
    """Media under their plural or singular keys, one or a list of each; empty ones are none."""
    images, videos, audios = (_named_key(parse, fields, key) for key in ("image", "video", "audio"))
    pictures = (parse.picture(where, value) for where, value in _entries(images, listed(fields.get(images))))
    found = [Image(source) for source in pictures if source is not None]
    sounds = (parse.audio(where, value) for where, value in _entries(audios, listed(fields.get(audios))))
    heard = [Audio(source) for source in sounds if source is not None]
    return RecordMedia(found, _read_videos(parse, fields, videos), heard, (images, videos, audios))


def _named_key(parse: Parse, fields: Mapping[str, Any], single: str) -> str:
    """The key under which files stand: the plural where it says something; a fault when both differ."""
    several = f"{single}s"
    if is_empty(fields.get(several)):
        return single
    if not is_empty(fields.get(single)) and listed(fields[single]) != listed(fields[several]):
        parse.fault(single, f"{single!r} and {several!r} both name files", advice="keep one of the two keys")
    return several


def _entries(key: str, entries: list[Any]) -> list[tuple[str, Any]]:
    """Every entry of a key, and where it stands."""
    return [(key if len(entries) == 1 else f"{key}[{n}]", entry) for n, entry in enumerate(entries)]


def _read_videos(parse: Parse, fields: Mapping[str, Any], key: str) -> list[Video]:
    """The clips under a key, bounded by `clip`: `[start, end]` of a single one, or one or null for each."""
    entries = _entries(key, clips_in(fields.get(key)))
    clip, sources = fields.get("clip"), [parse.clip(where, value) for where, value in entries]
    if is_empty(clip):
        return [Video(source) for source in sources if source is not None]
    clips = [clip] if len(sources) == 1 and not _nested(clip) else clip
    if not isinstance(clips, list) or len(clips) != len(sources):
        parse.fault("clip", f"{shown(clip)} is not [start, end] for each of {len(sources)} videos")
        return []
    bounds = [_bounds(parse, (None, None) if is_empty(clip) else clip) for clip in clips]
    return [Video(source, *bound) for source, bound in zip(sources, bounds, strict=True) if source and bound]


def _bounds(parse: Parse, value: object) -> tuple[float | None, float | None] | None:
    """`[start, end]` of a clip in seconds; None with a fault."""
    if isinstance(value, list | tuple) and len(value) == 2 and bounds_problem(*value) is None:
        return value[0], value[1]
    parse.fault("clip", f"{shown(value)} is not [start, end] in seconds")
    return None


def _nested(clip: object) -> bool:
    return isinstance(clip, list) and all(item is None or isinstance(item, list) for item in clip)


def _missing_marks(
    place: RecordPlace, turns: Sequence[RecordTurn], media: RecordMedia, which: InFront
) -> str:
    """Marks of pictures and clips that no question marks, as far as the form allows some to be missing."""
    if which == "single":
        return ""
    named = [(mark, parts, count_marks(place, turns, mark, len(parts))) for mark, _, parts in media.named()]
    if which == "missing":
        return "".join(mark * (len(parts) - count) for mark, parts, count in named)
    if which == "all" and not any(count for *_, count in named):
        return "".join(f"{mark}\n" * len(parts) for mark, parts, _ in named)
    return ""


def _put_in_front(place: RecordPlace, turns: Sequence[RecordTurn], marks: str) -> Sequence[RecordTurn]:
    """The turns with these marks in front of the first that may have some."""
    first = next((turn for turn in turns if _may_mark(place, turn)), None)
    return [replace(turn, text=marks + turn.text) if turn is first else turn for turn in turns]


def count_marks(place: RecordPlace, turns: Sequence[RecordTurn], mark: str, media: int) -> int:
    """How many marks of the turns ask for one of so many media; words do not (`chat.marks`)."""
    return count_asking((turn.text for turn in turns if _may_mark(place, turn)), mark, media)


def _may_mark(place: RecordPlace, turn: RecordTurn) -> bool:
    """Marks outside questions are words, as in the published rule of 2.5 (docs/facts/templates.md); documents
    have none."""
    return turn.role == "user" or place.pretraining


def place_media(
    parse: Parse, turns: Sequence[RecordTurn], media: RecordMedia, in_front: InFront = "single"
) -> tuple[Message, ...]:
    """Turns as messages with media in the places of their marks; none, with faults, where these differ.

    A single picture (or clip) that no question marks goes first, on a line of its own. Without files of a
    kind, its marks within sentences are words; all marks are where that is declared.
    """
    place = parse.place
    for turn in turns if media.some else ():
        if _may_mark(place, turn):
            check_foreign(parse, turn.where, turn.text)
    turns = _put_in_front(place, turns, _missing_marks(place, turns, media, in_front))
    for mark, key, parts in media.named():
        if len(parts) == 1 and not count_marks(place, turns, mark, 1):
            turns = _put_in_front(place, turns, f"{mark}\n")
        _check_count(parse, turns, mark, key, len(parts), media.some)
    if parse.faults:
        return ()
    queue = {mark: iter(parts) for mark, _, parts in media.named() if parts}
    return tuple(
        Message(t.role, fill_marks(t.text, queue) if _may_mark(place, t) else (Text(t.text),), t.trained)
        for t in turns
    )


def _check_count(
    parse: Parse, turns: Sequence[RecordTurn], mark: str, key: str, count: int, shows: bool
) -> None:
    """A fault where marks and files of a kind differ in number, unless one of their own tells of it."""
    if parse.text_only:
        if count:
            parse.fault(key, f"{count} files in a record of text only", advice="remove 'text_only'")
        return
    marks = count_marks(parse.place, turns, mark, count)
    told = any(
        fault.field.partition("[")[0] in (key, "clip") or fault.reason is Reason.FOREIGN_MARK
        for fault in parse.faults
    )
    if marks != count and turns and not told:
        advice = "" if count else lost_file(key, shows)
        parse.fault(key, f"{marks} {mark} in human turns, {count} files", Reason.MARK_COUNT, advice)


def check_foreign(parse: Parse, where: str, text: str) -> None:
    """A fault for the first mark of another tool in a question that is asked with pictures or clips."""
    if parse.place.foreign_marks == "fault" and (found := next(foreign_marks(text), None)):
        parse.fault(where, f"{found[0]!r} at character {found[1]}", Reason.FOREIGN_MARK)


def lost_file(key: str, shows: bool) -> str:
    """What to do about a mark in the place of a file that is not named."""
    advice = f"name the file under {key!r}, or remove the mark"
    words = "; where marks are words, set 'text_only: true' for the source in the manifest, or in the record"
    return advice if shows else advice + words
