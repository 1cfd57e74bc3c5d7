"""Who sits where: the loader's first packs, planned from lengths alone, and counts of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tessera.packing.config import PackingConfig
from tessera.packing.delivery import Tally
from tessera.packing.index import Progress
from tessera.packing.loader import PackLoader
from tessera.packing.measure import Item
from tessera.packing.planning.plan import least_packs
from tessera.packing.samples.encode import SampleEncoder
from tessera.records.source import WeightedSource


@dataclass(frozen=True)
class Seat:
    """One sample in a pack: number of its source, `file:line`, size."""

    source: int
    name: str
    tokens: int
    tiles: int


@dataclass
class PackView:
    """Packs of an epoch, or of its begin when `whole` is False; `shown` are the first of them.

    by_source: samples, tokens, tiles of every source. tally: what was skipped or cut.
    """

    names: list[str]
    max_tokens: int
    max_tiles: int
    shown: list[list[Seat]] = field(default_factory=list)
    packs: int = 0
    by_source: list[list[int]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    whole: bool = True

    @property
    def samples(self) -> int:
        """Samples in all packs."""
        return sum(row[0] for row in self.by_source)

    @property
    def tokens(self) -> int:
        """Tokens in all packs."""
        return sum(row[1] for row in self.by_source)

    @property
    def tiles(self) -> int:
        """Tiles in all packs."""
        return sum(row[2] for row in self.by_source)

    @property
    def bound(self) -> int:
        """Fewer packs can't hold these tokens and tiles."""
        return least_packs(self.tokens, self.tiles, self.max_tokens, self.max_tiles)

    @property
    def token_fill(self) -> float:
        """Share of the packs' tokens in use."""
        return self.tokens / max(1, self.packs * self.max_tokens)

    @property
    def tile_fill(self) -> float:
        """Share of the packs' tiles in use."""
        return self.tiles / max(1, self.packs * self.max_tiles)


def plan_view(
    entries: Sequence[WeightedSource],
    encoder: SampleEncoder,
    config: PackingConfig,
    show: int,
    most: int,
    progress: Progress,
) -> PackView:
    """The packs that a loader of this seed delivers, in its order; counting ends after `most` samples.

    DataError for a faulty record when the config says so.
    """
    view = PackView([entry.source.name for entry in entries], config.max_tokens, config.max_tiles)
    view.by_source = [[0, 0, 0] for _ in entries]
    expected = sum(round((entry.source.size or most) * entry.repeat) for entry in entries)
    endless = any(entry.source.size is None for entry in entries)
    epochs = None if endless else config.epochs
    alone = config.model_copy(update={"epochs": epochs, "augment": False, "similar_steps": False})
    for planned in PackLoader(entries, encoder, alone, progress=progress).plan():
        view.tally.add(planned.tally)
        for pack in (pack for step in planned.steps for pack in step):
            _note(view, entries, pack, show)
        progress("packs", min(view.samples, expected), min(expected, most))
        if view.samples >= most:
            view.whole = False
            break
    return view


def _note(view: PackView, entries: Sequence[WeightedSource], pack: Sequence[Item], show: int) -> None:
    view.packs += 1
    for item in pack:
        row = view.by_source[item.draw.source]
        row[0] += 1
        row[1] += item.lengths.tokens
        row[2] += item.lengths.tiles
    if len(view.shown) < show:
        view.shown.append([_seat(entries, item) for item in pack])


def _seat(entries: Sequence[WeightedSource], item: Item) -> Seat:
    file, line = entries[item.draw.source].source.place(item.draw.index)
    part = f" part {item.part + 1}" if item.part else ""
    return Seat(item.draw.source, f"{file}:{line}{part}", item.lengths.tokens, item.lengths.tiles)
