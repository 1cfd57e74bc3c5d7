"""Lengths of all records as training will pack them: after drawn frames and the over-long policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tessera.curation.statistics import Histogram, tile_histogram, token_histogram
from tessera.packing.index import FAULTY, SourceIndex
from tessera.packing.measure import Measurer, excess
from tessera.packing.mix import Draw, MixState
from tessera.packing.samples.overlong import OverLong
from tessera.records.faults import Reason, RecordFault
from tessera.records.source import WeightedSource

BLOCK = 1 << 16
"""Records that are looked at at a time."""


@dataclass
class LengthSummary:
    """Records as they are, and what the policy makes of the longer ones. trained: supervised tokens."""

    tokens: Histogram
    tiles: Histogram
    trained: int = 0
    too_long: int = 0
    dropped: int = 0
    shrunk: int = 0
    split: int = 0
    items: int = 0


@dataclass
class Columns:
    """Lengths of the records of a source: tokens, tiles, trained int32 [N]; flags, clips uint8 [N].

    A clip whose frames are drawn stands for one frame and may have up to `extra` = (tokens, tiles) more.
    """

    tokens: NDArray[np.int32]
    tiles: NDArray[np.int32]
    trained: NDArray[np.int32]
    flags: NDArray[np.uint8]
    clips: NDArray[np.uint8]
    extra: tuple[int, int] = (0, 0)

    @classmethod
    def of_index(cls, index: SourceIndex) -> Columns:
        """The memory-mapped columns of an index."""
        extra = int(index.frame_tokens.max(initial=0)), max(0, len(index.frame_tokens) - 2)
        return cls(index.tokens, index.tiles, index.trained, index.flags, index.clips, extra)

    @classmethod
    def of_rows(cls, rows: NDArray[np.int32]) -> Columns:
        """Tokens, tiles and trained tokens of records that were measured one by one: int32 [N, 3]."""
        none = np.zeros(len(rows), dtype=np.uint8)
        return cls(rows[:, 0], rows[:, 1], rows[:, 2], none, none)

    def longest(self, span: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tokens and tiles of some records when every clip has as many frames as it may have."""
        clips = self.clips[span].astype(np.int64)
        return self.tokens[span] + clips * self.extra[0], self.tiles[span] + clips * self.extra[1]


@dataclass
class ItemLengths:
    """Tokens and tiles int32 of the samples of one pass, in files."""

    folder: Path
    summary: LengthSummary

    def append(self, tokens: NDArray[np.int32], tiles: NDArray[np.int32]) -> None:
        """Add samples."""
        for name, values in (("tokens", tokens), ("tiles", tiles)):
            with (self.folder / f"items.{name}").open("ab") as stream:
                values.astype(np.int32).tofile(stream)
        self.summary.items += len(tokens)

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """tokens, tiles: int32 [items], memory-mapped."""
        if not self.summary.items:
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
        tokens, tiles = (
            np.memmap(self.folder / f"items.{n}", np.int32, mode="r") for n in ("tokens", "tiles")
        )
        return tokens, tiles


OnFault = Callable[[int, tuple[RecordFault, ...]], None]


class Policy:
    """What becomes of the records of one source: limits, over-long policy, and who hears of faults."""

    def __init__(
        self,
        entry: WeightedSource,
        measure: Measurer,
        limits: tuple[int, int],
        over_long: OverLong,
        on_fault: OnFault,
    ) -> None:
        self._entry, self._measure, self._limits = entry, measure, limits
        self._refuses, self._on_fault = over_long == "error", on_fault

    def apply(self, columns: Columns, rejected: NDArray[np.uint8], folder: Path) -> ItemLengths:
        """The samples that the records without fault give; rejected uint8 [N] says which have one."""
        max_tokens, max_tiles = self._limits
        items = ItemLengths(
            folder, LengthSummary(token_histogram(max_tokens), tile_histogram(max(1, max_tiles)))
        )
        for start in range(0, len(columns.tokens), BLOCK):
            span = slice(start, start + BLOCK)
            sound = np.asarray(rejected[span]) == 0
            longest = columns.longest(span)
            too_long = (longest[0] > max_tokens) | (longest[1] > max_tiles)
            if self._refuses:
                self._refuse(start, sound & too_long, longest, items.summary)
                sound &= ~too_long
            second = sound & (too_long | (columns.clips[span] > 0) | (columns.flags[span] & FAULTY > 0))
            tokens, tiles = np.asarray(columns.tokens[span]), np.asarray(columns.tiles[span])
            plain = sound & ~second
            _count(items.summary, tokens[plain], tiles[plain])
            items.append(tokens[plain], tiles[plain])
            items.summary.trained += int(columns.trained[span][sound].sum())
            for row in np.flatnonzero(second).tolist():
                self._look_again(start + row, (int(tokens[row]), int(tiles[row])), items)
        return items

    def _refuse(
        self, start: int, where: NDArray[np.bool_], longest: tuple[NDArray[np.int64], NDArray[np.int64]],
        summary: LengthSummary,
    ) -> None:  # fmt: skip
        """Records that are too long, or would be with as many frames as a visit may draw."""
        _count(summary, longest[0][where], longest[1][where])
        summary.too_long += int(where.sum())
        for row in np.flatnonzero(where).tolist():
            detail = excess(int(longest[0][row]), int(longest[1][row]), self._limits)
            place = self._entry.source.place(start + row)
            self._on_fault(start + row, (RecordFault(*place, "record", Reason.TOO_LONG, detail),))

    def _look_again(self, index: int, lengths: tuple[int, int], items: ItemLengths) -> None:
        """One record whose frames are drawn, that can't be measured, or that is too long."""
        summary = items.summary
        # Each record as its own visit, so that numbers of frames differ as in training.
        found = self._measure(Draw(0, index, index, MixState(0, ())))
        if found.faults:
            self._on_fault(index, found.faults)
            return
        summary.dropped += found.dropped
        summary.shrunk += found.shrunk
        summary.split += found.split
        sizes = [(item.lengths.tokens, item.lengths.tiles) for item in found.items]
        whole = len(sizes) == 1 and not found.shrunk and not found.dropped
        _count(summary, *np.array([sizes[0] if whole else lengths]).T)
        summary.too_long += not whole
        if sizes:
            items.append(*np.array(sizes, dtype=np.int32).T)


def _count(summary: LengthSummary, tokens: ArrayLike, tiles: ArrayLike) -> None:
    summary.tokens.add(tokens)
    summary.tiles.add(tiles)
