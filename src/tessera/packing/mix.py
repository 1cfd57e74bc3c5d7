"""Which record comes next: seeded draws from several sources, with a small state that restores exactly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tessera.records.source import WeightedSource
from tessera.runtime.seeds import derive_seed

_FEISTEL_TURNS = 6
_WORD = (1 << 64) - 1


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
        self._keys: list[dict[int, int]] = [{} for _ in sources]
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
        if turn not in self._keys[number]:
            self._keys[number] = {turn: derive_seed("pass", self._seed, self._names[number], turn)}
        return shuffled(offset, size, self._keys[number][turn])


def shuffled(index: int, size: int, key: int) -> int:
    """Where `index` goes in a shuffled order of 0 to size - 1, in constant memory.

    A Feistel network permutes the smallest square power of two that holds `size`; numbers outside are
    permuted again until they fall inside.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for turn in range(_FEISTEL_TURNS):
            left, right = right, left ^ (_scramble(right + (turn << 32) ^ key) & mask)
        index = left << half | right
        if index < size:
            return index


def _scramble(value: int) -> int:
    """A 64-bit hash (the finaliser of splitmix64)."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _WORD
    return value ^ value >> 31


def _quota(entry: WeightedSource, epochs: int | None) -> int | None:
    """How many records a source gives in the whole run; None when it never ends."""
    size = entry.source.size
    if size == 0:
        raise ValueError(f"{entry.source.name}: no records; remove the source or correct its annotation file")
    if epochs is None:
        return None
    if size is None:
        raise ValueError(f"epochs {epochs}: source {entry.source.name} is endless; give it a count")
    quota = round(epochs * entry.repeat * size)
    if quota == 0:
        raise ValueError(
            f"{entry.source.name}: {epochs} epochs x repeat {entry.repeat} x {size} records round to none; "
            "raise the repeat factor or remove the source"
        )
    return quota
