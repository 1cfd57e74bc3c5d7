"""The one writer of records and meta files, in InternVL's form; of pairs in MMPR's.

Records of sources become lines of JSONL: local files of lines keep them to the byte, others are converted.
Pairs with more than a question in front of their answers are written as LLaMA-Factory's sharegpt form has
them; MMPR's has no place for it.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.chat.message import (
    AUDIO_MARK,
    IMAGE_MARK,
    VIDEO_MARK,
    Audio,
    Conversation,
    Image,
    Part,
    Role,
    Text,
    Video,
    kind_of,
)
from tessera.records.faults import DataError
from tessera.records.files.places import Location
from tessera.records.manifest import DatasetSpec
from tessera.records.readers.records import RecordReader
from tessera.records.source import Source
from tessera.runtime.atomic import atomic_write

MMPR_KEPT = ("answer_gt", "chosen_meta", "rejected_meta")
"""What MMPR's records say of their answers."""
NAMES: dict[Role, str] = {"user": "human", "assistant": "gpt", "system": "system"}
_ENDINGS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}
_ENDINGS |= {b"II*\0": ".tif", b"MM\0*": ".tif"}
_SOUND_ENDINGS = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3"}


def json_line(value: object) -> bytes:
    """A value as a line of JSONL; half a surrogate pair, which is no text, is written as its escape."""
    return (json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def write_meta(file: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a meta file: name of a dataset to its entry."""
    with atomic_write(file) as stream:
        text = json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
        # A file name that is not UTF-8 comes back from its escapes.
        stream.write(text.encode("utf-8", "backslashreplace"))


def internvl_record(
    number: int,
    turns: Iterable[tuple[Role, str]],
    images: Sequence[str] = (),
    sizes: Sequence[tuple[int, int]] = (),
    videos: Sequence[str | list[str]] = (),
    bounds: Sequence[tuple[float | None, float | None]] = (),
    audios: Sequence[str] = (),
) -> dict[str, Any]:
    """A record of turns as (role, text with its marks), of media paths from the root.

    sizes: width and height of the pictures, if they shall stand there. bounds: seconds of the clips.
    """
    record: dict[str, Any] = {"id": number} | _media_keys(images, (), ())
    if len(sizes) == 1:
        record["width"], record["height"] = sizes[0]
    elif sizes:
        record["width_list"], record["height_list"] = map(list, zip(*sizes, strict=True))
    record |= _media_keys((), videos, bounds)
    record |= {"audio": _single(audios)} if audios else {}
    return record | {"conversations": [_turn(role, text) for role, text in turns]}


def mmpr_record(
    question: str,
    chosen: str,
    rejected: str,
    images: Sequence[str] = (),
    videos: Sequence[str | list[str]] = (),
    bounds: Sequence[tuple[float | None, float | None]] = (),
) -> dict[str, Any]:
    """A pair in MMPR's form (docs/facts/preferences.md), media marked in the question."""
    texts = {"question": question, "chosen": chosen, "rejected": rejected}
    return _media_keys(images, videos, bounds) | texts


def _turn(role: Role, text: str) -> dict[str, str]:
    return {"from": NAMES[role], "value": text}


def _media_keys(
    images: Sequence[str],
    videos: Sequence[str | list[str]],
    bounds: Sequence[tuple[float | None, float | None]],
) -> dict[str, Any]:
    """Files of a record under `image` and `video`, and the seconds of clips."""
    keys: dict[str, Any] = {"image": _single(images)} if images else {}
    if videos:
        # A list of frames stays in a list: alone it would be taken for several clips if it names no stills.
        keys["video"] = videos if isinstance(videos[0], list) else _single(videos)
    if any(second is not None for pair in bounds for second in pair):
        keys["clip"] = _single([list(pair) for pair in bounds])
    return keys


def marked_turns(conversation: Conversation) -> list[tuple[Role, str]]:
    """Role and text of every message, media as their marks."""
    return [(message.role, "".join(map(_marked, message.parts))) for message in conversation.messages]


class RecordText:
    """Lines of one source, asked for in growing order. Media that lie in no file are written to `folder`."""

    def __init__(self, spec: DatasetSpec, source: Source, folder: Path) -> None:
        self._spec = spec
        self._source = source
        self._folder = folder
        self._file: Location | None = None
        self._lines: Iterator[tuple[int, bytes]] = iter(())
        self._stored = self._referred = False
        self.verbatim = isinstance(source, RecordReader) and source.in_local_lines
        """lines are copied as they are, whatever their form"""

    @property
    def root(self) -> Path | str:
        """Where the media paths of the written lines start."""
        return self._folder if self._stored else self._spec.root

    def line(self, record: int) -> bytes:
        """A record as a line with its end."""
        if self.verbatim:
            return self._copied(record).rstrip(b"\r\n") + b"\n"
        return json_line(self._converted(record))

    def raw(self, record: int) -> str:
        """A record as text for the rejects, whether it can be read or not."""
        if self.verbatim:
            return self._copied(record).decode("utf-8", "backslashreplace").strip()
        try:
            talk = self._source.conversation(record)
            turns = [*marked_turns(talk), *((other.role, other.text) for other in talk.alternatives)]
            return json.dumps(internvl_record(record, turns)["conversations"], ensure_ascii=False)
        except DataError as error:
            return str(error)

    def _copied(self, record: int) -> bytes:
        """The bytes of the record's line; the file is read once, from its begin to its end."""
        file, line = self._source.place(record)
        if self._file != file:
            self._file, self._lines = file, _numbered(Path(file))
        return next((data for number, data in self._lines if number == line), b"")

    def entry(self, annotation: str, kept: int) -> dict[str, Any]:
        """The source's settings as an entry of a meta file, with its new file and number of records."""
        given = self._spec.model_dump(mode="json", exclude_defaults=True)
        left_out = {"name", "length", "held_out", "part"} | ({"format"} if not self.verbatim else set())
        settings = {key: value for key, value in given.items() if key not in left_out}
        root = self.root if isinstance(self.root, str) else str(Path(self.root).resolve())
        fixed = {"root": root, "annotation": annotation, "data_augment": self._spec.data_augment}
        return {**settings, **fixed, "repeat_time": self._spec.repeat_time, "length": kept}

    def _converted(self, record: int) -> dict[str, Any]:
        conversation = self._source.conversation(record)
        if self._spec.pretraining:
            return self._document(record, conversation)
        if conversation.alternatives:
            return self._pair(record, conversation)
        turns = marked_turns(conversation)
        return internvl_record(record, turns, **self._files(record, conversation)) | _of_words(conversation)

    def _pair(self, record: int, conversation: Conversation) -> dict[str, Any]:
        """Two answers as MMPR has them, if all of the source do; else as turns beside a conversation."""
        *before, (role, chosen) = marked_turns(conversation)
        rejected, *more = conversation.alternatives
        if more:
            raise ValueError(f"{self._spec.name}: record {record}: no form holds more than two answers")
        files, words = self._files(record, conversation), _of_words(conversation)
        if isinstance(self._source, RecordReader) and self._source.forms == {"mmpr"}:
            given = self._source.record(record)
            kept = {key: given[key] for key in MMPR_KEPT if key in given} if isinstance(given, dict) else {}
            return mmpr_record(before[-1][1], chosen, rejected.text, **files) | kept | words
        sides = {"chosen": _turn(role, chosen), "rejected": _turn(role, rejected.text)}
        return internvl_record(record, before, **files) | sides | words

    def _files(self, record: int, conversation: Conversation) -> dict[str, Any]:
        """The media of a record, as a writer of records takes them."""
        images = [part for part in conversation.media if isinstance(part, Image)]
        clips = [part for part in conversation.media if isinstance(part, Video)]
        sounds = [part for part in conversation.media if isinstance(part, Audio)]
        if sounds and (conversation.alternatives or any((s.start, s.end) != (None, None) for s in sounds)):
            raise ValueError(
                f"{self._spec.name}: record {record}: no form that is written here holds pairs with sounds, "
                "or sounds with bounds; cut the files"
            )
        heard = {"audios": [self._media(part.source, f"{record}_sound{n}") for n, part in enumerate(sounds)]}
        return (heard if sounds else {}) | {
            "images": [self._media(part.source, f"{record}_{n}") for n, part in enumerate(images)],
            "videos": [self._clip(part, f"{record}_clip{n}") for n, part in enumerate(clips)],
            "bounds": [(part.start, part.end) for part in clips],
        }

    def _document(self, record: int, conversation: Conversation) -> dict[str, Any]:
        """Texts and pictures in slots, one of the two null in each."""
        images: list[str | None] = []
        texts: list[str | None] = []
        for part in (part for message in conversation.messages for part in message.parts):
            if isinstance(part, Video | Audio):
                what = "clip" if isinstance(part, Video) else "sound"
                raise ValueError(f"{self._spec.name}: record {record}: a {what} can't stand in a document")
            texts.append(part.text if isinstance(part, Text) else None)
            path = self._media(part.source, f"{record}_{len(images)}") if isinstance(part, Image) else None
            images.append(path)
        return {"id": record, "images": images, "texts": texts}

    def _clip(self, clip: Video, stem: str) -> str | list[str]:
        """The path of a clip, or those of its frames."""
        if isinstance(clip.source, tuple):
            return [self._media(frame, f"{stem}_{n}") for n, frame in enumerate(clip.source)]
        return self._media(clip.source, stem)

    def _media(self, source: object, stem: str) -> str:
        """The path of a picture or clip from `root`; bytes and files outside the root are copied."""
        root = str(self._spec.root)
        below = None if isinstance(source, bytes) else _below(root, str(source))
        if isinstance(source, str | Path) and below is not None:
            self._referred = True
            name = below
        else:
            self._stored = True
            name = self._store(source, stem)
        if self._stored and self._referred:
            raise ValueError(
                f"{self._spec.name}: some media are files below {root} and some are not: "
                "split the source, one root can't hold both"
            )
        return name

    def _store(self, source: object, stem: str) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            ending = sound_ending(source) if "_sound" in stem else picture_ending(source)
            (self._folder / (stem + ending)).write_bytes(source)
            return stem + ending
        if isinstance(source, Path) and source.is_file():
            shutil.copyfile(source, self._folder / (stem + source.suffix))
            return stem + source.suffix
        raise ValueError(f"{self._spec.name}: media {source!r} can't be copied; filter a source of files")


def picture_ending(data: bytes) -> str:
    """What the name of a file of these bytes should end in; `.bin` for no known picture."""
    return next((end for start, end in _ENDINGS.items() if data.startswith(start)), ".bin")


def sound_ending(data: bytes) -> str:
    """The same of a sound."""
    return next((end for start, end in _SOUND_ENDINGS.items() if data.startswith(start)), ".bin")


def _of_words(conversation: Conversation) -> dict[str, bool]:
    """What a record without media says that speaks of marks: they are words."""
    texts = [message.text for message in (*conversation.messages, *conversation.alternatives)]
    speaks = any(mark in text for text in texts for mark in (IMAGE_MARK, VIDEO_MARK, AUDIO_MARK))
    return {"text_only": True} if speaks and not conversation.media else {}


def _numbered(file: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers from 1; the file is closed with the iterator."""
    with file.open("rb") as stream:
        yield from enumerate(stream, start=1)


def _below(root: str, path: str) -> str | None:
    """The path from the root, if it lies below it."""
    if "://" in root:
        anchor = root.rstrip("/") + "/"
        return path[len(anchor) :] if path.startswith(anchor) else None
    relative = os.path.relpath(path, root)
    return None if relative.startswith("..") else relative + ("/" if path.endswith("/") else "")


def _marked(part: Part) -> str:
    return part.text if isinstance(part, Text) else f"<{kind_of(part)}>"


def _single(values: Sequence[Any]) -> Any:
    """One value by itself, several as a list."""
    return values[0] if len(values) == 1 else list(values)
