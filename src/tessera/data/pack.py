"""Samples laid end to end: the pack, and the packer that fills it by tokens and by tiles.

Unlike the published packer (facts 6.3) nothing is cut, dropped or padded: a sample is in exactly one pack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """One encoded record. ids int32 [T]; weights float32 [T], loss-weighted; tiles uint8 [N, S, S, 3]."""

    key: str
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    tiles: NDArray[np.uint8]

    @property
    def tokens(self) -> int:
        """How many tokens."""
        return len(self.ids)

    @property
    def tile_count(self) -> int:
        """How many tiles."""
        return len(self.tiles)

    @property
    def trained(self) -> int:
        """How many supervised tokens."""
        return int(np.count_nonzero(self.weights))


@dataclass(frozen=True)
class Pack:
    """Whole samples in one row, without padding.

    ids int64 [T]; weights float32 [T], weights[t] belongs to token t as a target; lengths sum to T; tiles
    uint8 [N, S, S, 3] in the order of the samples; keys, tiles_per_sample and trained: one entry a sample.
    """

    ids: torch.Tensor
    weights: torch.Tensor
    lengths: tuple[int, ...]
    tiles: torch.Tensor
    keys: tuple[str, ...]
    tiles_per_sample: tuple[int, ...]
    trained: tuple[int, ...]


def collate(samples: Sequence[Sample]) -> Pack:
    """Lay samples end to end. ValueError for none, or for a target on a first token (nothing precedes it)."""
    if not samples:
        raise ValueError("samples: a pack needs at least one sample")
    for sample in samples:
        if sample.weights[0] != 0:
            raise ValueError(f"{sample.key}: the first token carries a loss weight, but nothing predicts it")
    # Text-only samples may carry an empty array of another tile side: it has nothing to add.
    tiles = [sample.tiles for sample in samples if sample.tile_count] or [samples[0].tiles]
    return Pack(
        ids=torch.from_numpy(np.concatenate([s.ids for s in samples]).astype(np.int64)),
        weights=torch.from_numpy(np.concatenate([s.weights for s in samples]).astype(np.float32)),
        lengths=tuple(s.tokens for s in samples),
        tiles=torch.from_numpy(np.concatenate(tiles)),
        keys=tuple(s.key for s in samples),
        tiles_per_sample=tuple(s.tile_count for s in samples),
        trained=tuple(s.trained for s in samples),
    )


class Sized(Protocol):
    """Anything with a token and a tile count."""

    @property
    def tokens(self) -> int:
        """How many tokens."""

    @property
    def tile_count(self) -> int:
        """How many tiles."""


Item = TypeVar("Item", bound=Sized)


class Packer(Generic[Item]):
    """Holds a look-ahead buffer and takes packs out of it.

    Every pack starts with the item that waited longest, so nothing waits for ever; then the item that
    fits best joins until none fits. Best is the largest sum over tokens and tiles of (item / capacity) x
    (room / capacity): big items first, and preferably of the resource of which most is left.
    """

    def __init__(self, max_tokens: int, max_tiles: int) -> None:
        if max_tokens < 1 or max_tiles < 0:
            raise ValueError(f"max_tokens {max_tokens}, max_tiles {max_tiles}: at least 1 and 0 are needed")
        self.max_tokens = max_tokens
        self.max_tiles = max_tiles
        self.waiting: list[Item] = []

    def fits(self, item: Item) -> bool:
        """Whether the item fits into an empty pack."""
        return item.tokens <= self.max_tokens and item.tile_count <= self.max_tiles

    def add(self, item: Item) -> None:
        """Put an item into the buffer. ValueError when no pack can ever hold it."""
        if not self.fits(item):
            raise ValueError(
                f"{getattr(item, 'key', 'item')}: {item.tokens} tokens and {item.tile_count} tiles exceed "
                f"a pack of {self.max_tokens} tokens and {self.max_tiles} tiles; raise them or shorten it"
            )
        self.waiting.append(item)

    def take(self) -> list[Item]:
        """Remove one pack of items from the buffer, oldest item first; the buffer must not be empty."""
        tokens = np.array([item.tokens for item in self.waiting], dtype=np.float64)
        tiles = np.array([item.tile_count for item in self.waiting], dtype=np.float64)
        chosen = list(self._choose(tokens, tiles))
        taken = [self.waiting[index] for index in chosen]
        gone = set(chosen)
        self.waiting = [item for index, item in enumerate(self.waiting) if index not in gone]
        return taken

    def _choose(self, tokens: NDArray[np.float64], tiles: NDArray[np.float64]) -> Iterator[int]:
        """Indices of one pack: the oldest, then best fits until nothing fits."""
        token_room, tile_room = float(self.max_tokens), float(self.max_tiles)
        free = np.ones(len(tokens), dtype=bool)
        best = 0
        while True:
            yield best
            free[best] = False
            token_room -= tokens[best]
            tile_room -= tiles[best]
            fitting = np.flatnonzero(free & (tokens <= token_room) & (tiles <= tile_room))
            if not len(fitting):
                return
            score = tokens[fitting] * token_room / self.max_tokens**2
            score += tiles[fitting] * tile_room / max(self.max_tiles, 1) ** 2
            best = int(fitting[np.argmax(score)])
