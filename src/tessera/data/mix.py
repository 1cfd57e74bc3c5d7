"""Which record comes next: seeded draws from several sources, with a small state that restores exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.data.source import WeightedSource
from tessera.runtime.seeds import derive_seed


@dataclass(frozen=True)
class MixState:
    """How many draws were made in all, and from each source."""

    draws: int
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Draw:
    """One choice: source, record index, how many draws this source had before, and the state after it."""

    source: int
    index: int
    visit: int
    after: MixState


class Mixer:
    """An iterator of draws. Sources are chosen by weight; records in shuffled passes over each source.

    The order depends on seed and state only. With `epochs`, a finite source gives `epochs x repeat x
    length` records (rounded) and then leaves the mixture; without, every source repeats for ever.
    """

    def __init__(self, sources: Sequence[WeightedSource], seed: int, epochs: int | None = None) -> None:
        if not sources:
            raise ValueError("sources: empty; give at least one source")
        names = [entry.source.name for entry in sources]
        if len(set(names)) < len(names):
            raise ValueError(f"sources: names {names} repeat; give every source its own name")
        self._sources = tuple(sources)
        self._names = names
        self._seed = seed
        self._quotas = tuple(_quota(entry, epochs) for entry in sources)
        self._passes: dict[int, tuple[int, NDArray[np.int64]]] = {}
        self.state = MixState(0, (0,) * len(sources))

    def __iter__(self) -> Iterator[Draw]:
        return self

    def __next__(self) -> Draw:
        number = self._choose_source()
        visit = self.state.positions[number]
        positions = list(self.state.positions)
        positions[number] += 1
        self.state = MixState(self.state.draws + 1, tuple(positions))
        return Draw(number, self._record(number, visit), visit, self.state)

    def _choose_source(self) -> int:
        """By weight among the sources that are not used up; one hash of (seed, draw) is the random number."""
        weights = [
            entry.weight if quota is None or position < quota else 0.0
            for entry, quota, position in zip(self._sources, self._quotas, self.state.positions, strict=True)
        ]
        total = sum(weights)
        if total <= 0:
            raise StopIteration
        target = derive_seed("mix", self._seed, self.state.draws) / 2**63 * total
        last = 0
        for number, weight in enumerate(weights):
            if weight > 0:
                last = number
                target -= weight
                if target < 0:
                    break
        return last

    def _record(self, number: int, visit: int) -> int:
        """The record of a visit: the source's own order when it is endless, shuffled passes otherwise."""
        size = self._sources[number].source.size
        if size is None:
            return visit
        turn, offset = divmod(visit, size)
        known = self._passes.get(number)
        if known is None or known[0] != turn:
            random = np.random.default_rng(derive_seed("pass", self._seed, self._names[number], turn))
            known = self._passes[number] = (turn, random.permutation(size))
        return int(known[1][offset])


def _quota(entry: WeightedSource, epochs: int | None) -> int | None:
    """How many records a source gives in the whole run; None when it never ends."""
    size = entry.source.size
    if size == 0:
        raise ValueError(f"{entry.source.name}: no records; remove the source or correct its annotation file")
    if epochs is None:
        return None
    if size is None:
        raise ValueError(f"epochs {epochs}: source {entry.source.name} is endless; give it a count")
    return round(epochs * entry.repeat * size)
