"""Files of records as a source: any container, any form, one file or many shards."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tessera.chat.message import Conversation, Image, Medium, Part, PictureSource, Text, Video, kind_of
from tessera.imaging.pictures.reading import PictureReading
from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.files.places import Location, suffix
from tessera.records.files.remote import Unreachable, exists, local_copy
from tessera.records.files.shards import expand
from tessera.records.forms.detect import LOOKED_AT, FormName, detect, parse_as
from tessera.records.manifest import DatasetSpec
from tessera.records.readers.container import Container
from tessera.records.readers.json_file import JsonFile
from tessera.records.readers.parquet import ParquetRows
from tessera.records.readers.tar import TarShard
from tessera.records.record import Parse, RecordPlace
from tessera.records.source import Place
from tessera.runtime.shown import shown

CONTAINERS: dict[str, type[JsonFile | ParquetRows | TarShard]] = {
    ".jsonl": JsonFile,
    ".json": JsonFile,
    ".parquet": ParquetRows,
    ".tar": TarShard,
}
"""What opens a file, by what its name ends in: the manifest takes no other."""


def open_container(file: Location) -> Container:
    """The records of one file. ValueError naming file and remedy when it is missing or no such file."""
    if not exists(file):
        raise ValueError(f"no file {shown(file, bare=True)}; correct the path")
    return CONTAINERS[suffix(file)](file)


class RecordReader:
    """The records of a dataset by number, through all its files; some places may be left out."""

    def __init__(self, spec: DatasetSpec, left_out: frozenset[Place] = frozenset()) -> None:
        self.spec, self.name = spec, spec.name
        self._left_out = left_out
        self._forms: dict[int, FormName | None] = {}
        try:
            self.files = tuple(open_container(file) for file in expand(spec.annotation))
            self._ends = np.cumsum([len(file) for file in self.files], dtype=np.int64)
        except OSError as error:
            raise ValueError(f"{spec.name}.annotation: {error}; correct path or access") from error
        except ValueError as error:
            raise ValueError(f"{spec.name}.annotation: {error}") from error

    def __reduce__(self) -> tuple[type[RecordReader], tuple[DatasetSpec, frozenset[Place]]]:
        """Another process maps the offsets again instead of receiving a copy."""
        return type(self), (self.spec, self._left_out)

    @property
    def in_local_lines(self) -> bool:
        """Whether every record is a line of a local file, which can be copied as it stands."""
        return all(isinstance(file, JsonFile) and file.in_local_lines for file in self.files)

    @property
    def size(self) -> int:
        """How many records."""
        return int(self._ends[-1]) - len(self._missing)

    @cached_property
    def _missing(self) -> NDArray[np.int64]:
        """For every record that is left out, in order: how many before it are kept. int64 [left out]"""
        found = []
        for number, file in enumerate(self.files):
            first = int(self._ends[number - 1]) if number else 0
            lines = (line for place, line in self._left_out if str(place) == str(file.file))
            found += [first + index for line in lines if (index := file.index(line)) is not None]
        gone = np.union1d(np.array(found, dtype=np.int64), self._other_part())
        return gone - np.arange(len(gone))

    def _other_part(self) -> NDArray[np.int64]:
        """Numbers of the records that the other part of the dataset has. int64 [left out]"""
        if self.spec.part == "all":
            return np.array([], dtype=np.int64)
        out = held_out(int(self._ends[-1]), self.spec.held_out)
        return np.flatnonzero(out if self.spec.part == "training" else ~out)

    def _find(self, index: int) -> tuple[int, int]:
        """Number of the file, and of the record in it."""
        if not 0 <= index < self.size:
            raise IndexError(f"{self.name}: record {index} of {self.size}")
        index += int(np.searchsorted(self._missing, index, side="right"))
        number = int(np.searchsorted(self._ends, index, side="right"))
        return number, index - (int(self._ends[number - 1]) if number else 0)

    def place(self, index: int) -> Place:
        """File (or URL) and line of a record."""
        number, local = self._find(index)
        return self.files[number].file, self.files[number].line(local)

    def record(self, index: int) -> object:
        """The record as it is written. DataError when it can't be read."""
        number, local = self._find(index)
        return self._read(number, local)

    def form(self, index: int = 0) -> FormName | None:
        """The form of the file that holds a record: the manifest's, or the one its first records have."""
        return self._form(self._find(index)[0])

    @property
    def forms(self) -> set[FormName | None]:
        """The forms of all its files."""
        return {self._form(number) for number in range(len(self.files))}

    def conversation(self, index: int) -> Conversation:
        """The record as a conversation. DataError with all its faults."""
        number, local = self._find(index)
        file = self.files[number]
        place = RecordPlace(
            file.file,
            file.line(local),
            self.spec.root,
            self.spec.max_dynamic_patch,
            self.spec.system,
            self.spec.pretraining,
            file.members(local),
            pictures=self.spec.pictures,
            text_only=self.spec.text_only,
            foreign_marks=self.spec.foreign_marks,
            ignored_keys=self.spec.ignored_keys,
            missing_pictures=self.spec.missing_pictures,
            train_turn_ends=self.spec.train_turn_ends,
        )
        record, form = self._read(number, local), self._form(number)
        with _within_reach(file, local):
            talk = sampled(parse_as(form, record, place), self.spec)
            return read_as(fetch_media(talk, place), place.pictures)

    def fingerprint(self) -> str:
        """What the files are, the settings, and the records that were left out."""
        stamps = " ".join(file.stamp() for file in self.files)
        # pydantic's own JSON refuses file names that are not UTF-8.
        settings = json.dumps(self.spec.model_dump(), default=str)
        return f"{stamps} {settings} {sorted(map(str, self._left_out))}"

    def without(self, places: Collection[Place]) -> RecordReader:
        """The same files with the records at some places left out."""
        return RecordReader(self.spec, self._left_out | frozenset(places))

    def _read(self, number: int, local: int) -> object:
        with _within_reach(self.files[number], local):
            return self.files[number].record(local)

    def _form(self, number: int) -> FormName | None:
        if self.spec.format != "auto":
            return self.spec.format
        if number not in self._forms:
            self._forms[number] = detect(self._first_records(number))
        return self._forms[number]

    def _first_records(self, number: int) -> Iterator[object]:
        """What can be read of the first records of a file."""
        for local in range(min(LOOKED_AT, len(self.files[number]))):
            try:
                yield self._read(number, local)
            except DataError:
                continue


def held_out(records: int, share: float) -> NDArray[np.bool_]:
    """Which of so many records are kept from training, bool [records]: about `share`, one at least of two.

    A record's number decides (its mixed bits, Vigna's splitmix64), so records that are added later change
    nothing for those before.
    """
    bits = np.arange(1, records + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    places = (bits ^ (bits >> np.uint64(31))) / 2.0**64
    chosen = places < share
    if records > 1 and not chosen.any():
        chosen[np.argmin(places)] = True
    if records > 1 and chosen.all():
        chosen[np.argmax(places)] = False
    return chosen


@contextmanager
def _within_reach(file: Container, local: int) -> Iterator[None]:
    """DataError for a record of a file whose storage fails."""
    try:
        yield
    except OSError as error:
        fault = RecordFault(file.file, file.line(local), "record", Reason.UNREACHABLE, str(error))
        raise DataError([fault]) from error


def sampled(conversation: Conversation, spec: DatasetSpec) -> Conversation:
    """The conversation with `fps` frames a second of every clip that does not say itself, if that is set."""
    if spec.fps is None:
        return conversation

    def sample(part: Part) -> Part:
        if isinstance(part, Video) and part.frames is None and part.fps is None:
            return replace(part, fps=spec.fps, frames=spec.max_frames)
        return part

    return conversation.map_parts(sample)


def read_as(conversation: Conversation, pictures: PictureReading | None) -> Conversation:
    """The conversation whose pictures become RGB as their source says, if it does."""
    if pictures is None:
        return conversation
    return conversation.map_parts(
        lambda p: replace(p, reading=pictures) if isinstance(p, Image | Video) else p
    )


def fetch_media(conversation: Conversation, place: RecordPlace) -> Conversation:
    """The conversation with remote media as files of the cache. DataError for what can't be had."""
    if not any(isinstance(s, str) for part in conversation.media for s in sources_of(part)):
        return conversation
    parse = Parse(place)
    fetched = conversation.map_parts(lambda part: _fetched(parse, part))
    parse.check()
    return fetched


def sources_of(part: Medium) -> tuple[PictureSource, ...]:
    """The file of a picture, clip or sound, or the frames that make it up."""
    return part.source if isinstance(part.source, tuple) else (part.source,)


def _fetched(parse: Parse, part: Part) -> Part:
    if not isinstance(part, Text) and any(isinstance(source, str) for source in sources_of(part)):
        where = kind_of(part)
        try:
            local = [local_copy(s) if isinstance(s, str) else s for s in sources_of(part)]
            return replace(
                part, source=cast(Any, tuple(local) if isinstance(part.source, tuple) else local[0])
            )
        except FileNotFoundError as error:
            parse.fault(where, str(error), Reason.MISSING_FILE)
        except Unreachable as error:
            parse.fault(where, str(error), Reason.UNREACHABLE)
    return part
