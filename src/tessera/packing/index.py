"""Lengths before pixels: tokens and tiles of every record of a source, measured once and memory-mapped.

Pictures are measured by their headers and clips by their containers; no pixel is decoded. The arrays stand in
the cache, under a name that changes with the source's files and with the encoder, and reopen in a moment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
from tessera.runtime.workers import map_in_chunks

FAULTY = 1
"""Flag of a record that can't be measured."""
VERSION = "3"
"""Raised when what is measured changes."""
CHUNK = 512
"""Records that a process measures at a time."""
COLUMNS: dict[str, type[np.generic]] = {
    "tokens": np.int32,
    "tiles": np.int32,
    "trained": np.int32,
    "flags": np.uint8,
    "clips": np.uint8,
    "chosen": np.int32,
    "rejected": np.int32,
}


@dataclass(frozen=True)
class SourceIndex:
    """Lengths of N records: tokens, tiles, trained int32 [N]; flags, clips uint8 [N], all memory-mapped.

    chosen, rejected: int32 [N] tokens of the two answers of a pair, 0 of other records.
    `clips` counts the clips whose frames are drawn in every visit; each stands for one frame in tokens and
    tiles. `frame_tokens` int64 [F + 1]: tokens that a clip of so many frames has more than one of one frame.
    """

    folder: Path
    tokens: NDArray[np.int32]
    tiles: NDArray[np.int32]
    trained: NDArray[np.int32]
    flags: NDArray[np.uint8]
    clips: NDArray[np.uint8]
    chosen: NDArray[np.int32]
    rejected: NDArray[np.int32]
    frame_tokens: NDArray[np.int64]

    def __reduce__(self) -> tuple[Callable[[Path], SourceIndex], tuple[Path]]:
        """Another process maps the files again instead of receiving a copy."""
        return _open, (self.folder,)

    def __len__(self) -> int:
        return len(self.tokens)

    def longest(self, span: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tokens and tiles of some records when every clip has as many frames as a visit may draw."""
        clips = self.clips[span].astype(np.int64)
        tokens, tiles = int(self.frame_tokens.max(initial=0)), max(0, len(self.frame_tokens) - 2)
        return self.tokens[span] + clips * tokens, self.tiles[span] + clips * tiles


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
    return _open(
        cached_folder("index", stamp, lambda folder: build_index(folder, entry, encoder, workers, progress))
    )


def build_index(
    folder: Path,
    entry: WeightedSource,
    encoder: SampleEncoder,
    workers: int = 0,
    progress: Progress = silent,
) -> SourceIndex:
    """Measure all records of a finite source that has some, into an empty folder."""
    size, done = entry.source.size or 0, 0
    encoder = encoder_of(entry, encoder)
    columns = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=(size,))
        for name, kind in COLUMNS.items()
    }
    for rows in map_in_chunks(partial(_measure, entry, encoder), size, CHUNK, workers):
        for number, column in enumerate(columns.values()):
            column[done : done + len(rows)] = rows[:, number]
        done += len(rows)
        progress(entry.source.name, done, size)
    clips = bool(columns["clips"].any())
    np.save(folder / "frame_tokens.npy", _frame_tokens(encoder, entry.frames if clips else None))
    return _open(folder)


def encoder_stamp(encoder: SampleEncoder) -> str:
    """Fingerprint of an encoder's settings and of its tokenizer's content: what lengths depend on."""
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


def _frame_tokens(encoder: SampleEncoder, bounds: tuple[int, int] | None) -> NDArray[np.int64]:
    """Frames stand on labelled lines between control tokens, so their price doesn't depend on the record."""
    if bounds is None:
        return np.zeros(2, dtype=np.int64)
    lengths = [encoder.measure(conversation).tokens for conversation in labelled_frames(bounds[1])]
    return np.array([0, *lengths], dtype=np.int64) - lengths[0]


def _measure(entry: WeightedSource, encoder: SampleEncoder, bounds: tuple[int, int]) -> NDArray[np.int64]:
    """int64 [records, columns] of the records from first to last."""
    return np.array([_row(entry, encoder, number) for number in range(*bounds)], dtype=np.int64)


def _row(entry: WeightedSource, encoder: SampleEncoder, number: int) -> tuple[int, ...]:
    clips = 0
    try:
        conversation = entry.source.conversation(number)
        if entry.frames is not None:
            conversation, clips = single_frames(conversation, entry.frames[1])
        lengths = encoder.measure(conversation)
    except (ValueError, OSError):
        return 0, 0, 0, FAULTY, 0, 0, 0
    chosen, *others = lengths.branches or (0,)
    return lengths.tokens, lengths.tiles, lengths.trained, 0, clips, chosen, sum(others)
