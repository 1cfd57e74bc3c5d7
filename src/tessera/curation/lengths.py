"""Lengths of the samples that a source gives training: after drawn frames and the over-long policy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tessera.curation.statistics import Histogram, tile_histogram, token_histogram
from tessera.packing.config import Limits
from tessera.packing.delivery import DrawTally
from tessera.packing.index import FAULTY, SourceIndex
from tessera.packing.measure import Measurer
from tessera.packing.mix import Draw, MixState
from tessera.packing.samples.encode import DrawEncoder, SampleEncoder
from tessera.records.faults import Reason, RecordFault
from tessera.records.source import WeightedSource

BLOCK = 1 << 16
"""Records that are looked at at a time."""

OnFault = Callable[[int, Sequence[RecordFault]], None]
"""Called with the number of a record and its faults."""


@dataclass(kw_only=True)
class LengthSummary(DrawTally):
    """Records as they are, and what the policy makes of the longer ones. trained: supervised tokens.

    pairs: records with two answers, whose tokens `chosen` and `rejected` count.
    """

    tokens: Histogram
    tiles: Histogram
    chosen: Histogram
    rejected: Histogram
    pairs: int = 0
    trained: int = 0
    too_long: int = 0
    items: int = 0

    def count(self, tokens: ArrayLike, tiles: ArrayLike) -> None:
        """Add records to the histograms."""
        self.tokens.add(tokens)
        self.tiles.add(tiles)

    def count_pairs(self, chosen: NDArray[np.int32], rejected: NDArray[np.int32]) -> None:
        """Add records with answers of these many tokens; 0 where a record has but one."""
        paired = chosen > 0
        self.pairs += int(paired.sum())
        self.chosen.add(chosen[paired])
        self.rejected.add(rejected[paired])


class SampleLengths:
    """Tokens and tiles of the samples of one pass over a source, in files of a folder, with their summary."""

    def __init__(
        self, entry: WeightedSource, index: SourceIndex, encoder: SampleEncoder, limits: Limits, folder: Path
    ) -> None:
        tokens, chosen, rejected = (token_histogram(limits.max_tokens) for _ in range(3))
        tiles = tile_histogram(max(1, limits.max_tiles))
        self.summary = LengthSummary(tokens=tokens, tiles=tiles, chosen=chosen, rejected=rejected)
        self._entry, self._index, self._limits, self._folder = entry, index, limits, folder
        self._measure = Measurer(DrawEncoder([entry], encoder), [index], limits)

    def take(self, rejected: NDArray[np.uint8], on_fault: OnFault) -> None:
        """Add the samples of the records that are not rejected: uint8 [N]. What can't be packed is told."""
        index, limits = self._index, self._limits
        for start in range(0, len(index), BLOCK):
            span = slice(start, start + BLOCK)
            sound = np.asarray(rejected[span]) == 0
            longest = index.longest(span)
            too_long = (longest[0] > limits.max_tokens) | (longest[1] > limits.max_tiles)
            if limits.over_long == "error":
                self._refuse(start, sound & too_long, longest, on_fault)
                sound &= ~too_long
            # Frames that are drawn, faults that the index only counts, and the policy need another look.
            second = sound & (too_long | (index.clips[span] > 0) | (index.flags[span] & FAULTY > 0))
            tokens, tiles = np.asarray(index.tokens[span]), np.asarray(index.tiles[span])
            plain = sound & ~second
            self.summary.count(tokens[plain], tiles[plain])
            self._append(tokens[plain], tiles[plain])
            self.summary.trained += int(index.trained[span][sound].sum())
            self.summary.count_pairs(index.chosen[span][sound], index.rejected[span][sound])
            for row in np.flatnonzero(second).tolist():
                self._look_again(start + row, (int(tokens[row]), int(tiles[row])), on_fault)

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """tokens, tiles: int32 [samples], memory-mapped."""
        if not self.summary.items:
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
        tokens, tiles = (
            np.memmap(self._folder / f"items.{n}", np.int32, mode="r") for n in ("tokens", "tiles")
        )
        return tokens, tiles

    def _append(self, tokens: NDArray[np.int32], tiles: NDArray[np.int32]) -> None:
        for name, values in (("tokens", tokens), ("tiles", tiles)):
            with (self._folder / f"items.{name}").open("ab") as stream:
                values.astype(np.int32).tofile(stream)
        self.summary.items += len(tokens)

    def _refuse(
        self,
        start: int,
        where: NDArray[np.bool_],
        longest: tuple[NDArray[np.int64], NDArray[np.int64]],
        on_fault: OnFault,
    ) -> None:
        """Records that are too long, or would be with as many frames as a visit may draw."""
        self.summary.count(longest[0][where], longest[1][where])
        self.summary.too_long += int(where.sum())
        for row in np.flatnonzero(where).tolist():
            both = int(self._index.chosen[start + row]), int(self._index.rejected[start + row])
            detail = self._limits.excess(int(longest[0][row]), int(longest[1][row]), both if both[0] else ())
            place = self._entry.source.place(start + row)
            on_fault(start + row, [RecordFault(*place, "record", Reason.TOO_LONG, detail)])

    def _look_again(self, number: int, lengths: tuple[int, int], on_fault: OnFault) -> None:
        """One record whose frames are drawn, that can't be measured, or that is too long."""
        # Each record as its own visit, so that numbers of frames differ as in training.
        found = self._measure(Draw(0, number, number, MixState(0, ())))
        if found.faults:
            on_fault(number, found.faults)
            return
        self.summary.add(found.tally)
        sizes = [(item.lengths.tokens, item.lengths.tiles) for item in found.items]
        whole = len(sizes) == 1 and not found.tally.shrunk and not found.tally.dropped
        self.summary.count(*np.array([sizes[0] if whole else lengths]).T)
        self.summary.too_long += not whole
        if sizes:
            self._append(*np.array(sizes, dtype=np.int32).T)
