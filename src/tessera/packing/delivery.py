"""What a loader has delivered, counted over all ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tessera.chat.encoder import Lengths
from tessera.packing.config import Limits


@dataclass
class DrawTally:
    """Records that didn't become a sample as they are."""

    skipped: int = 0
    dropped: int = 0
    shrunk: int = 0
    split: int = 0

    def add(self, tally: DrawTally) -> None:
        """Add what happened to other records."""
        self.skipped += tally.skipped
        self.dropped += tally.dropped
        self.shrunk += tally.shrunk
        self.split += tally.split


@dataclass
class SourceTally:
    """What one source has given: samples, and their tokens, tiles and supervised tokens."""

    samples: int = 0
    tokens: int = 0
    tiles: int = 0
    trained: int = 0

    def count(self, sample: Lengths) -> None:
        """Add one sample."""
        self.samples += 1
        self.tokens += sample.tokens
        self.tiles += sample.tiles
        self.trained += sample.trained


@dataclass
class LoaderStats(DrawTally):
    """What all ranks were given since the start, and the capacity of those packs.

    skipped: faulty records; dropped: over-long records, or parts of them, that were left out; shrunk: records
    with fewer tiles than they would have; split: records that became several samples; waited: seconds in
    which this process waited for data.
    """

    packs: int = 0
    samples: int = 0
    tokens: int = 0
    tiles: int = 0
    trained: int = 0
    token_capacity: int = 0
    tile_capacity: int = 0
    seen: dict[str, SourceTally] = field(default_factory=dict)
    """By name of the source: the mixture as it really was."""
    waited: float = field(default=0.0, compare=False)

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        """From what `dataclasses.asdict` gave."""
        seen = {name: SourceTally(**tally) for name, tally in state.get("seen", {}).items()}
        return cls(**{**state, "seen": seen})

    @property
    def token_fill(self) -> float:
        """Share of the token capacity in use, 0 to 1."""
        return self.tokens / max(self.token_capacity, 1)

    @property
    def tile_fill(self) -> float:
        """Share of the tile capacity in use, 0 to 1."""
        return self.tiles / max(self.tile_capacity, 1)

    def count(self, samples: Sequence[tuple[str, Lengths]], limits: Limits) -> None:
        """Add one delivered pack: source and lengths of its samples."""
        self.packs += 1
        for name, sample in samples:
            self.seen.setdefault(name, SourceTally()).count(sample)
            self.samples += 1
            self.tokens += sample.tokens
            self.tiles += sample.tiles
            self.trained += sample.trained
        self.token_capacity += limits.max_tokens
        self.tile_capacity += limits.max_tiles
