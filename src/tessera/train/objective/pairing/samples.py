"""A picture and a caption that belong together: drawn, or from the user's files, checked before a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from tessera.chat.message import Conversation, Image, PictureSource, Text
from tessera.curation.check import CheckReport
from tessera.imaging.pictures.reading import PictureReading
from tessera.playground.scene import draw_scene
from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.manifest import PlaygroundSource
from tessera.records.media import media_problem
from tessera.records.open import open_sources
from tessera.records.readers.records import RecordReader
from tessera.records.source import Source, WeightedSource
from tessera.runtime.progress import Progress
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown
from tessera.train.objective.contract import Checked, Sources, StageData
from tessera.train.objective.pairs import shows_one_picture

MOST_WORDS = 50
FAR = 2**40
"""Drawn pairs never end: any number below it is one of them."""
IDENTITY = "image_id"
"""Key of a record: pictures that share it show the same, so their captions fit each other."""


@dataclass(frozen=True)
class PictureText:
    """One pair. Pairs of one `image_id` are no negatives of each other."""

    image: PictureSource
    caption: str
    image_id: str
    reading: PictureReading | None = None


def cleaned(caption: str) -> str:
    """As retrieval was fine-tuned: lower case, `. ! " ( ) * # : ; ~` to spaces, 50 words at most."""
    spaced = re.sub(r'[.!"()*#:;~]', " ", caption.lower())
    return " ".join(re.sub(r"\s{2,}", " ", spaced).rstrip("\n").strip(" ").split(" ")[:MOST_WORDS])


@dataclass(frozen=True)
class PairStream:
    """Pairs by their number, each a pure function of it.

    Files alone: every record once a pass, in an order of its own in each. Beside drawn sources, or where a
    manifest gives weights or repeats: sources by their weights, and a record of one at random.
    """

    drawn: tuple[PlaygroundSource, ...]
    files: Sources
    seed: int
    clean: bool = False

    def __getitem__(self, number: int) -> PictureText:
        """The pair of a number from 0."""
        if not self.drawn and not self._weighted:
            epoch, place = divmod(number, self.size)
            return self.record(int(_order(self.size, derive_seed("pass", self.seed, epoch))[place]))
        rng = Random(derive_seed("pair", self.seed, number))
        sources: list[PlaygroundSource | WeightedSource] = [*self.drawn, *self.files]
        source = rng.choices(sources, [each.weight for each in sources])[0]
        if isinstance(source, PlaygroundSource):
            return self._drawn(source, rng, number)
        place = self.files.index(source)
        before = sum(_size(each) for each in self.files[:place])
        return self.record(before + rng.randrange(_size(source)))

    def any(self, rng: Random) -> PictureText:
        """One of all pairs."""
        return self[rng.randrange(FAR)] if self.drawn else self.record(rng.randrange(self.size))

    @property
    def size(self) -> int:
        """Records in files."""
        return sum(map(_size, self.files))

    @property
    def _weighted(self) -> bool:
        readers = [each.source for each in self.files if isinstance(each.source, RecordReader)]
        return any(reader.spec.weight is not None for reader in readers) or any(
            each.repeat != 1 for each in self.files
        )

    def _drawn(self, source: PlaygroundSource, rng: Random, number: int) -> PictureText:
        suite = rng.choices(list(source.suites), list(source.suites.values()))[0]
        level = rng.choices(list(source.levels), list(source.levels.values()))[0]
        scene = draw_scene(suite, derive_seed("pair", self.seed, number, "scene"), level=level)
        (part,) = scene.media
        assert isinstance(part, Image)  # `open_pairs` asked
        return PictureText(part.source, self._written(scene.caption), scene.caption, part.reading)

    def record(self, index: int) -> PictureText:
        """The pair of a record, counted through all files."""
        for entry in self.files:
            if index < _size(entry):
                break
            index -= _size(entry)
        assert isinstance(entry.source, RecordReader)
        return pair_of(entry.source, index, self.clean)

    def _written(self, caption: str) -> str:
        return cleaned(caption) if self.clean else caption


def _size(entry: WeightedSource) -> int:
    return entry.source.size or 0


@lru_cache(maxsize=4)
def _order(size: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed % 2**32).permutation(size)


def pair_of(reader: RecordReader, index: int, clean: bool) -> PictureText:
    """The pair of a record; its `image_id` is the record's, else where the picture lies. DataError when it
    has not one picture and a caption."""
    talk = reader.conversation(index)
    pictures = [part for part in talk.media if isinstance(part, Image)]
    caption = _caption(talk)
    said = cleaned(caption) if clean else caption
    if len(pictures) != 1 or len(talk.media) != 1:
        raise _fault(reader, index, "image", f"{len(talk.media)} pictures, clips or sounds: a pair has one")
    if not said:
        raise _fault(reader, index, "caption", f"{shown(caption)} leaves no word", Reason.EMPTY_ANSWER)
    source = pictures[0].source
    record = reader.record(index)
    given = record.get(IDENTITY) if isinstance(record, dict) else None
    if given is not None and not isinstance(given, str | int):
        raise _fault(reader, index, IDENTITY, f"{shown(given)} is no number and no text")
    place = str(source) if not isinstance(source, bytes) else f"{reader.place(index)}"
    return PictureText(
        source, said, f"{reader.name}:{place if given is None else given}", pictures[0].reading
    )


def _fault(
    reader: RecordReader, index: int, field: str, detail: str, reason: Reason = Reason.BAD_FIELD
) -> DataError:
    return DataError([RecordFault(*reader.place(index), field, reason, detail)])


def _caption(talk: Conversation) -> str:
    """What is said last: the answer of a conversation, the caption of a pair."""
    texts = [part.text for part in talk.messages[-1].parts if isinstance(part, Text)] if talk.messages else []
    return "".join(texts).strip()


def open_pairs(data: StageData, clean: bool, progress: Progress) -> Checked:
    """The files of a stage, every record read and every picture's header. Raises DataError with all faults,
    ValueError for drawn suites that show no picture of their own."""
    for source in data.sources:
        odd = [s for s in getattr(source, "suites", ()) if not shows_one_picture(s)]
        if odd:
            raise ValueError(
                f"stage {data.name!r}: suites {', '.join(odd)} show a clip or several pictures, and pairs "
                "have one; leave them out of `suites`"
            )
    manifests = [source for source in data.sources if not isinstance(source, PlaygroundSource)]
    checked: list[WeightedSource] = []
    faults: list[RecordFault] = []
    for entry in open_sources([spec for manifest in manifests for spec in manifest.read()]):
        own = _check(entry.source, clean, progress)
        faults += own
        checked.append(_without(entry, own))
    if faults and data.packing.on_fault == "error":
        raise DataError(faults)
    count = sum(map(_size, checked))
    return tuple(checked), CheckReport(records=count, tiles=count, faults=tuple(faults))


def _check(source: Source, clean: bool, progress: Progress) -> list[RecordFault]:
    assert isinstance(source, RecordReader)
    faults: list[RecordFault] = []
    for index in range(source.size):
        try:
            pair = pair_of(source, index, clean)
            if problem := media_problem(Image(pair.image, reading=pair.reading), headers_only=True):
                faults.append(RecordFault(*source.place(index), "image", *problem))
        except DataError as error:
            faults += error.faults
        progress(f"checking {source.name}", index + 1, source.size)
    return faults


def _without(entry: WeightedSource, faults: Sequence[RecordFault]) -> WeightedSource:
    """The source without its faulty records."""
    if not faults:
        return entry
    assert isinstance(entry.source, RecordReader)
    rest = entry.source.without({(fault.file, fault.line) for fault in faults})
    if not rest.size:
        raise DataError(faults)
    return WeightedSource(rest, entry.weight, entry.repeat)
