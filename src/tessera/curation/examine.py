"""One record after the other, as worker processes look at them: faults, keys of its content, numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tessera.chat.message import Conversation, Image
from tessera.curation.duplicates import HASHES, content_key, id_key, signature
from tessera.curation.inspector import MediaFinding, MediaInspector
from tessera.curation.sizes import size_faults
from tessera.curation.statistics import BoxEvidence, boxes_in, count_scripts
from tessera.packing.samples.clips import draw_clips
from tessera.packing.samples.encode import SampleEncoder
from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.source import Source, WeightedSource
from tessera.runtime.workers import map_in_workers

CHUNK = 128
"""Records that a process looks at before it reports."""


@runtime_checkable
class RecordSource(Source, Protocol):
    """A source whose records can be read as they are written."""

    def record(self, index: int) -> object:
        """The record as it is written. DataError when it can't be read."""


@dataclass
class Findings:
    """What a chunk of n records showed; arrays have n rows. faults: (record, faults) of the faulty ones."""

    first: int
    content: NDArray[np.uint64]
    ids: NDArray[np.uint64]
    signatures: NDArray[np.uint16]
    lengths: NDArray[np.int32]
    faults: list[tuple[int, tuple[RecordFault, ...]]] = field(default_factory=list)
    boxes: BoxEvidence = field(default_factory=BoxEvidence)
    scripts: Counter[str] = field(default_factory=Counter)


class Examiner:
    """Looks at records by number, in any process; picklable.

    deep: keys for duplicates, scripts and boxes, too; without it only faults are looked for.
    measure: lengths [n, 3] (tokens, tiles, trained) of sources that have no index.
    """

    def __init__(
        self, entry: WeightedSource, headers_only: bool, deep: bool, measure: SampleEncoder | None = None
    ) -> None:
        self._entry, self._deep, self._measure = entry, deep, measure
        self._readable = isinstance(entry.source, RecordSource)
        self._inspector = MediaInspector(headers_only)

    def __call__(self, bounds: tuple[int, int]) -> Findings:
        """The records from first to last."""
        size = bounds[1] - bounds[0]
        found = Findings(
            bounds[0],
            np.zeros(size, dtype=np.uint64),
            np.zeros(size, dtype=np.uint64),
            np.zeros((size, HASHES if self._deep else 0), dtype=np.uint16),
            np.zeros((size, 3), dtype=np.int32),
        )
        for row, index in enumerate(range(*bounds)):
            if faults := self._look(found, row, index):
                found.faults.append((index, tuple(faults)))
        return found

    def _look(self, found: Findings, row: int, index: int) -> list[RecordFault]:
        source: Any = self._entry.source
        record = None
        try:
            if self._readable:
                record = source.record(index)
                found.ids[row] = id_key(record)
            conversation = source.conversation(index)
        except (ValueError, OSError) as error:
            self._note_boxes(found, record, None)
            return self._faults(index, error)
        media = [self._inspector.inspect(part) for part in conversation.media]
        faults = self._media_faults(index, conversation, media)
        if faults := faults or size_faults(record, conversation, source.place(index)):
            return faults
        if self._deep:
            self._note(found, row, record, conversation, media)
        return self._note_lengths(found, row, index, conversation)

    def _faults(self, index: int, error: ValueError | OSError) -> list[RecordFault]:
        if isinstance(error, DataError):
            return list(error.faults)
        return [RecordFault(*self._entry.source.place(index), "record", Reason.UNUSABLE, str(error))]

    def _media_faults(
        self, index: int, conversation: Conversation, media: list[MediaFinding]
    ) -> list[RecordFault]:
        return [
            RecordFault(*self._entry.source.place(index), _kind(part), *found.problem)
            for part, found in zip(conversation.media, media, strict=True)
            if found.problem is not None
        ]

    def _note(
        self, found: Findings, row: int, record: object, conversation: Conversation, media: list[MediaFinding]
    ) -> None:
        """Keys of a sound record, its scripts and boxes."""
        identity = b"".join(finding.identity for finding in media)
        found.content[row] = content_key(conversation, identity)
        found.signatures[row] = signature(conversation, identity)
        found.scripts.update(count_scripts("".join(message.text for message in conversation.messages)))
        sizes = [finding.size for finding in media]
        self._note_boxes(found, record, sizes[0] if len(sizes) == 1 else None)

    def _note_boxes(self, found: Findings, record: object, size: tuple[int, int] | None) -> None:
        if self._deep:
            for box in boxes_in(record):
                found.boxes.add(box, size)

    def _note_lengths(
        self, found: Findings, row: int, index: int, conversation: Conversation
    ) -> list[RecordFault]:
        if self._measure is None:
            return []
        try:
            drawn = draw_clips(conversation, self._entry, 0, index)
            lengths = self._measure.measure(drawn)
        except (ValueError, OSError) as error:
            return self._faults(index, error)
        found.lengths[row] = lengths.tokens, lengths.tiles, lengths.trained
        return []


def examine(entry: WeightedSource, examiner: Examiner, size: int, workers: int) -> Iterator[Findings]:
    """Findings about all records of a source in order, a chunk at a time, made by `workers` processes."""
    chunks = [(first, min(first + CHUNK, size)) for first in range(0, size, CHUNK)]
    return map_in_workers(examiner, chunks, workers if len(chunks) > 1 else 0, prefetch=4)


def _kind(part: Any) -> str:
    return "image" if isinstance(part, Image) else "video"
