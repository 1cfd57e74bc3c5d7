"""What a source gives, whatever its files are called and whenever they were written: to tell changed data.

Annotations of JSON are read whole; other containers by size, begin and end. Some of the records, spread
evenly over the source, are opened: their texts, and of every picture or clip the size and the begin.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tessera.chat.message import Text
from tessera.records.faults import DataError
from tessera.records.files.places import Location
from tessera.records.files.remote import local_copy, open_binary
from tessera.records.readers.json_file import JsonFile
from tessera.records.readers.records import RecordReader
from tessera.records.source import WeightedSource
from tessera.runtime.disk import file_digest

OPENED = 1024
"""Records that are opened at most: some seconds on a network disk. docs/runs.md says what is not seen."""
DIGESTS = ("the annotation", "texts, pictures or clips")
"""Facts that say nothing to a reader but that something changed."""
HEAD = 1 << 16
"""Bytes that are read of a file."""
_ELSEWHERE = ("name", "annotation", "root", "weight", "repeat_time", "length", "academic")
"""Keys of a manifest that say where data lies, or change no sample; the mixture has weight and repeat."""


def identity(entry: WeightedSource) -> dict[str, Any]:
    """Facts about a source as plain values, equal as long as it gives the same samples.

    A drawn source has those of its place in the mixture alone: its settings stand in the recipe.
    """
    source = entry.source
    facts: dict[str, Any] = {
        "records": source.size,
        "weight": entry.weight,
        "repeat_time": entry.repeat,
        "data_augment": entry.augment,
        "frames": list(entry.frames or ()),
        "pretraining": entry.document,
    }
    if not isinstance(source, RecordReader):
        return facts
    settings = source.spec.model_dump(mode="json", exclude=set(_ELSEWHERE))
    files = [_annotation(file.file, isinstance(file, JsonFile)) for file in source.files]
    step = max(1, -(-source.size // OPENED))
    opened = (_record(source, index) for index in range(0, source.size, step))
    annotation, media = DIGESTS
    return settings | facts | {annotation: _digest(files), media: _digest(opened)}


def _annotation(place: Location, whole: bool) -> bytes:
    """The content of a file of records, or what tells it from others."""
    if whole:
        return file_digest(local_copy(place)).encode()
    with open_binary(place) as stream:
        head = stream.read(HEAD)
        size = stream.seek(0, 2)
        stream.seek(max(0, size - HEAD))
        return _digest([head, stream.read(HEAD), str(size).encode()]).encode()


def _record(source: RecordReader, index: int) -> bytes:
    """Texts and media of a record, in order."""
    try:
        talk = source.conversation(index)
    except DataError:
        return b"faulty"
    parts = [part for message in (*talk.messages, *talk.alternatives) for part in message.parts]
    found = []
    for part in parts:
        given = part.text.encode("utf-8", "surrogatepass") if isinstance(part, Text) else _media(part.source)
        joined = () if isinstance(part, Text) else getattr(part, "joined", ())
        found += [given, *map(_media, joined)]
    return _digest(found).encode()


def _media(source: object) -> bytes:
    """A file by size and begin, a folder by its files, bytes whole."""
    if isinstance(source, bytes | bytearray):
        return bytes(source)
    if isinstance(source, tuple | list):
        return b" ".join(map(_media, source))
    if not isinstance(source, Path):
        return type(source).__name__.encode()
    try:
        if source.is_dir():
            return b" ".join(_media(file) for file in sorted(source.iterdir()) if file.is_file())
        with source.open("rb") as stream:
            return str(source.stat().st_size).encode() + hashlib.sha256(stream.read(HEAD)).digest()
    except OSError:
        return b"missing"


def _digest(parts: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8) + part)
    return whole.hexdigest()[:16]
