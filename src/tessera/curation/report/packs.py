"""The packs of an epoch: the loader's first ones, sample by sample, and counts of all; lengths only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tessera.curation.estimate import PackEstimate
from tessera.packing.config import PackingConfig
from tessera.packing.delivery import DrawTally
from tessera.packing.loader import PackLoader
from tessera.packing.measure import PackItem
from tessera.packing.planning.buffers import least_packs
from tessera.packing.samples.encode import SampleEncoder
from tessera.pages.blocks import PackedSample
from tessera.records.source import WeightedSource
from tessera.runtime.progress import Progress


@dataclass(frozen=True)
class PackView(PackEstimate):
    """Packs of an epoch, or of its begin when `whole` is False; `shown` are the first of them.

    names: of the sources; by_source: samples, tokens, tiles of each; tally: what was skipped or cut.
    """

    names: Sequence[str]
    shown: Sequence[Sequence[PackedSample]]
    by_source: Sequence[Sequence[int]]
    tally: DrawTally
    whole: bool


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
    counts = np.zeros((len(entries), 3), dtype=np.int64)
    shown: list[list[PackedSample]] = []
    tally, packs, met = DrawTally(), 0, 0
    expected = sum(round((entry.source.size or most) * entry.repeat) for entry in entries)
    for planned in PackLoader(entries, encoder, _lengths_only(entries, config), progress=progress).plan():
        tally.add(planned.tally)
        for pack in chain.from_iterable(planned.steps):
            packs += 1
            for item in pack:
                counts[item.draw.source] += 1, item.lengths.tokens, item.lengths.tiles
            if len(shown) < show:
                shown.append(list(_samples(entries, pack)))
        met = int(counts[:, 0].sum())
        progress("packs", min(met, expected), min(expected, most))
        # An endless source has no last pack.
        if met >= most:
            break
    samples, tokens, tiles = map(int, counts.sum(axis=0))
    names = [entry.source.name for entry in entries]
    bound = least_packs(tokens, tiles, config.max_tokens, config.max_tiles)
    total = (samples, tokens, tiles, packs, bound, config)
    return PackView(*total, names, shown, counts.tolist(), tally, whole=met < most)


def _lengths_only(entries: Sequence[WeightedSource], config: PackingConfig) -> PackingConfig:
    """The config without what changes no pack's size or order; endless sources have no epochs."""
    endless = any(entry.source.size is None for entry in entries)
    epochs = None if endless else config.epochs
    return config.model_copy(update={"epochs": epochs, "augment": False, "similar_steps": False})


def _samples(entries: Sequence[WeightedSource], pack: Sequence[PackItem]) -> Iterator[PackedSample]:
    """The samples of a pack, named after their places."""
    for item in pack:
        file, line = entries[item.draw.source].source.place(item.draw.index)
        part = f" part {item.part + 1}" if item.part else ""
        lengths = item.lengths
        yield PackedSample(
            f"{file}:{line}{part}", lengths.tokens, lengths.tiles, item.draw.source, lengths.branches
        )
