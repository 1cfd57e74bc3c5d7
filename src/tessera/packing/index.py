"""Lengths before pixels: tokens and tiles of every record of a source, measured once and memory-mapped.

Pictures are measured by their headers and clips by their containers; no pixel is decoded. The arrays stand in
the cache, under a name that changes with the source's files and with the encoder, and reopen in a moment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.chat.encoder import Encoder
from tessera.packing.samples.clips import labelled_frames, single_frames
from tessera.packing.samples.encode import SampleEncoder, encoder_of
from tessera.records.files.cache import cached_folder
from tessera.records.source import WeightedSource
from tessera.runtime.progress import Progress, silent
from tessera.runtime.workers import map_in_workers

FAULTY = 1
"""Flag of a record that can't be measured."""
VERSION = "2"
"""Raised when what is measured changes."""
CHUNK = 512
"""Records that a process measures at a time."""
COLUMNS: dict[str, type[np.generic]] = {
    "tokens": np.int32,
    "tiles": np.int32,
    "trained": np.int32,
    "flags": np.uint8,
    "clips": np.uint8,
}


@dataclass(frozen=True)
class SourceIndex:
    """Lengths of N records: tokens, tiles, trained int32 [N]; flags, clips uint8 [N], all memory-mapped.

    `clips` counts the clips whose frames are drawn in every visit; each stands for one frame in tokens and
    tiles. `frame_tokens` int64 [F + 1]: tokens that a clip of so many frames has more than one of one frame.
    """

    folder: Path
    tokens: NDArray[np.int32]
    tiles: NDArray[np.int32]
    trained: NDArray[np.int32]
    flags: NDArray[np.uint8]
    clips: NDArray[np.uint8]
    frame_tokens: NDArray[np.int64]

    def __reduce__(self) -> tuple[Callable[[Path], SourceIndex], tuple[Path]]:
        """Another process maps the files again instead of receiving a copy."""
        return _open, (self.folder,)

    def __len__(self) -> int:
        return len(self.tokens)


def open_index(
    entry: WeightedSource, encoder: SampleEncoder, workers: int = 0, progress: Progress = silent
) -> SourceIndex | None:
    """The index of a source, built by `workers` processes when the cache has none; None for a source
    without fingerprint, end or records. ValueError when the cache folder can't be written.
    """
    fingerprint, size = entry.source.fingerprint(), entry.source.size
    if fingerprint is None or not size:
        return None
    stamp = "\n".join((VERSION, fingerprint, encoder_stamp(encoder), str(entry.frames), str(entry.document)))
    return _open(cached_folder("index", stamp, lambda new: _build(new, entry, encoder, workers, progress)))


def encoder_stamp(encoder: SampleEncoder) -> str:
    """Settings of an encoder and the content of its tokenizer: another text when lengths may differ."""
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(encoder, Encoder):
        for name, data in sorted(encoder.tokenizer.vocabulary.files().items()):
            digest.update(name.encode() + data)
        digest.update(repr(sorted(encoder.tokenizer.added)).encode())
    return json.dumps(dict(encoder.describe()), sort_keys=True) + digest.hexdigest()


def _open(folder: Path) -> SourceIndex:
    columns: dict[str, Any] = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in (*COLUMNS, "frame_tokens")
    }
    return SourceIndex(folder, **columns)


def _build(
    folder: Path, entry: WeightedSource, encoder: SampleEncoder, workers: int, progress: Progress
) -> None:
    size, done = entry.source.size or 0, 0
    encoder = encoder_of(entry, encoder)
    columns = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=(size,))
        for name, kind in COLUMNS.items()
    }
    for rows in _measured(_Measuring(entry, encoder), size, workers):
        for number, column in enumerate(columns.values()):
            column[done : done + len(rows)] = rows[:, number]
        done += len(rows)
        progress(entry.source.name, done, size)
    clips = bool(columns["clips"].any())
    np.save(folder / "frame_tokens.npy", _frame_tokens(encoder, entry.frames if clips else None))


def _frame_tokens(encoder: SampleEncoder, bounds: tuple[int, int] | None) -> NDArray[np.int64]:
    """Frames stand on labelled lines between control tokens, so their price doesn't depend on the record."""
    if bounds is None:
        return np.zeros(2, dtype=np.int64)
    lengths = [encoder.measure(conversation).tokens for conversation in labelled_frames(bounds[1])]
    return np.array([0, *lengths], dtype=np.int64) - lengths[0]


class _Measuring:
    """Measures records by number, in any process."""

    def __init__(self, entry: WeightedSource, encoder: SampleEncoder) -> None:
        self._entry, self._encoder = entry, encoder

    def __call__(self, bounds: tuple[int, int]) -> NDArray[np.int64]:
        """int64 [records, columns] of the records from first to last."""
        return np.array([self._row(number) for number in range(*bounds)], dtype=np.int64)

    def _row(self, number: int) -> tuple[int, ...]:
        clips = 0
        try:
            conversation = self._entry.source.conversation(number)
            if self._entry.frames is not None:
                conversation, clips = single_frames(conversation)
            lengths = self._encoder.measure(conversation)
        except (ValueError, OSError):
            return 0, 0, 0, FAULTY, 0
        return lengths.tokens, lengths.tiles, lengths.trained, 0, clips


def _measured(measure: _Measuring, size: int, workers: int) -> Iterator[NDArray[np.int64]]:
    """Rows of all records in order, a chunk at a time."""
    chunks = [(first, min(first + CHUNK, size)) for first in range(0, size, CHUNK)]
    return map_in_workers(measure, chunks, workers if len(chunks) > 1 else 0, prefetch=4)
