"""What a loader has delivered, counted over all ranks."""

from __future__ import annotations

from dataclasses import dataclass, field

from tessera.packing.measure import Item, Measured


@dataclass
class Tally:
    """Records that didn't become a sample as they are."""

    skipped: int = 0
    dropped: int = 0
    shrunk: int = 0
    split: int = 0

    def note(self, measured: Measured) -> None:
        """Add one draw."""
        self.skipped += bool(measured.faults)
        self.dropped += measured.dropped
        self.shrunk += measured.shrunk
        self.split += measured.split

    def add(self, tally: Tally) -> None:
        """Add what happened to records while packs were planned."""
        self.skipped += tally.skipped
        self.dropped += tally.dropped
        self.shrunk += tally.shrunk
        self.split += tally.split


@dataclass
class LoaderStats(Tally):
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
    waited: float = field(default=0.0, compare=False)

    @property
    def token_fill(self) -> float:
        """Share of the token capacity in use, 0 to 1."""
        return self.tokens / max(self.token_capacity, 1)

    @property
    def tile_fill(self) -> float:
        """Share of the tile capacity in use, 0 to 1."""
        return self.tiles / max(self.tile_capacity, 1)

    def count(self, items: list[Item], max_tokens: int, max_tiles: int) -> None:
        """Add one delivered pack."""
        self.packs += 1
        self.samples += len(items)
        self.tokens += sum(item.lengths.tokens for item in items)
        self.tiles += sum(item.lengths.tiles for item in items)
        self.trained += sum(item.lengths.trained for item in items)
        self.token_capacity += max_tokens
        self.tile_capacity += max_tiles
