"""A plan's packs made mixtures: pairs of packs are pooled and dealt anew at random, into as many packs.

A planner that fills packs tightly lays alike with alike. Here two packs put their items into one circle in
random order; an arc of it becomes the first pack and the rest the second: the longest arc that a pack holds,
from the first place where the rest fits as well. Where no place does, the two stay as they were. So the
number of packs never rises and capacities hold exactly, while every deal evens out what its two packs differ
by. A circle of n items offers n arcs: pools with hardly any room to spare are dealt, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_TRIES = 16
"""Places of a circle that are tried as the begin of the arc."""
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Resource:
    """Sizes of all items, int64 [N], and what a pack holds of them."""

    sizes: Numbers
    capacity: int


def remix(packs: Numbers, resources: Sequence[Resource], rounds: int, seed: int) -> Numbers:
    """The pack of every item, int64 [N], after so many rounds; packs: the same before, from 0 on, none empty.

    A resource that binds no two packs may be left out. The numbers of packs become random, too.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    for _ in range(rounds):
        packs = _deal(packs, _unlike(packs, rng), resources, rng)
    return rng.permutation(int(packs.max()) + 1)[packs]


def _unlike(packs: Numbers, rng: np.random.Generator) -> Numbers:
    """Numbers of packs, partners side by side: that of most items with that of fewest, and so on inwards.

    Kinds differ in length: so the packs meet that have most to even out. An odd pack comes last.
    """
    items = np.bincount(packs)
    ranked = np.argsort(items + rng.random(len(items)))
    half = len(items) // 2
    pairs = np.stack([ranked[:half], ranked[::-1][:half]], axis=1)
    return np.append(pairs, ranked[half : len(items) - half])


def _deal(
    packs: Numbers, partners: Numbers, resources: Sequence[Resource], rng: np.random.Generator
) -> Numbers:
    """Deal anew every pair that can be; a pack without a partner stays."""
    places = np.empty_like(partners)
    places[partners] = np.arange(len(partners))
    pools = places[packs] >> 1
    order = _shuffled(pools, rng)
    arcs = _Arcs.of(np.bincount(pools), len(partners) // 2)
    totals = [np.append(0, np.cumsum(r.sizes[order])) for r in resources]
    lengths = arcs.end - arcs.begin
    for total, resource in zip(totals, resources, strict=True):
        lengths = np.minimum(lengths, arcs.longest(total, resource.capacity))
    fits = np.ones(len(lengths), dtype=np.bool_)
    for total, resource in zip(totals, resources, strict=True):
        fits &= arcs.rest(total, lengths) <= resource.capacity
    chosen = np.flatnonzero(fits)
    chosen = chosen[np.diff(arcs.pool[chosen], prepend=-1) > 0]
    arc, size = arcs.pool[chosen], (arcs.end - arcs.begin)[chosen]
    # Every item of a pool that is dealt: how far behind the begin of the arc it lies.
    steps = _counted(size)
    places = np.repeat(arcs.place[chosen], size) + steps
    places -= np.where(places >= np.repeat(arcs.end[chosen], size), np.repeat(size, size), 0)
    second = steps >= np.repeat(lengths[chosen], size)
    dealt = packs.copy()
    dealt[order[places]] = partners[2 * np.repeat(arc, size) + second]
    return dealt


def _counted(sizes: Numbers) -> Numbers:
    """0 to size - 1 of every size, one behind the other."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _shuffled(pools: Numbers, rng: np.random.Generator) -> Numbers:
    """Item numbers pool by pool, inside a pool in random order."""
    bits = len(pools).bit_length()
    dice = rng.integers(1 << 62 - 2 * bits, size=len(pools))
    # The arc from item 0 is tried first: whatever room there is to spare is not in its pack.
    dice[0] = 0
    # One sort of whole numbers is several times as fast as sorting items by keys.
    keys = (pools << 62 - bits) + (dice << bits) + np.arange(len(pools))
    keys.sort()
    return keys & (1 << bits) - 1


@dataclass(frozen=True)
class _Arcs:
    """Arcs to try, int64 [M]: the pool, the place where each begins, and begin and end of its circle.

    `total` is the running sum of a resource over all places, from 0.
    """

    pool: Numbers
    place: Numbers
    begin: Numbers
    end: Numbers

    @classmethod
    def of(cls, sizes: Numbers, pools: int, most: int = MOST_TRIES) -> "_Arcs":
        """The first places of the first so many pools."""
        ends = np.cumsum(sizes)
        tries = np.minimum(sizes[:pools], most)
        pool = np.repeat(np.arange(pools), tries)
        begin = (ends - sizes)[pool]
        return cls(pool, begin + _counted(tries), begin, ends[pool])

    def longest(self, total: Numbers, capacity: int) -> Numbers:
        """From each place on, how many items of the circle a pack holds."""
        room = total[self.place] + capacity
        beyond = room >= total[self.end]
        room -= np.where(beyond, total[self.end] - total[self.begin], 0)
        reach = np.searchsorted(total, room, side="right") - 1
        # Behind its own begin an arc has nothing more to take.
        return np.where(beyond, np.minimum(reach, self.place) + self.end - self.begin, reach) - self.place

    def rest(self, total: Numbers, lengths: Numbers) -> Numbers:
        """What is left of each circle without the arc."""
        stop = self.place + lengths
        beyond = stop >= self.end
        left = total[self.place] - total[stop - np.where(beyond, self.end - self.begin, 0)]
        return np.where(beyond, left, left + total[self.end] - total[self.begin])
