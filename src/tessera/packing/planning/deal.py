"""Pairs of packs pooled and dealt anew at random: capacities hold exactly, and no packs are added.

Two packs put their items into one circle in random order; an arc of it becomes the first pack and the rest
the second. From many places the longest arc is tried that a pack holds; of those whose rest fits as well the
fullest wins. A circle of n items offers n arcs: even pools without room to spare are dealt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_TRIES = 16
"""Places of a circle that are tried as the begin of the arc."""
Numbers = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Resource:
    """Sizes of all items, int64 [N], and what a pack holds of them."""

    sizes: Numbers
    capacity: int


def deal(
    packs: Numbers,
    partners: Numbers,
    resources: Sequence[Resource],
    rng: np.random.Generator,
    times: int = 1,
    full: np.ufunc = np.maximum,
) -> Numbers:
    """The pack of every item, int64 [N], after every pair of partners was dealt anew that can be.

    packs: before. partners: numbers of packs, those of a pair side by side; other packs stay as they are. The
    fullest arc of so many random orders counts. full: how the fills of both resources make one; of the
    maximum composition is independent, the sum leads to packs that are full of both.
    """
    if not len(partners):
        return packs
    places = np.full(int(packs.max()) + 1, -1)
    places[partners] = np.arange(len(partners))
    mine = np.flatnonzero(places[packs] >= 0)
    pools = places[packs[mine]] >> 1
    arcs = _Arcs.of(np.bincount(pools))
    best = np.full(len(partners) // 2, -1.0)
    dealt = packs.copy()
    for _ in range(times):
        order = mine[_shuffled(pools, rng)]
        lengths, values = arcs.longest(order, resources, full)
        # The first item of all begins its circle: it is to be in the arc, not in the rest with room to spare.
        values[(arcs.pool == pools[0]) & (arcs.back >= lengths)] = -1.0
        top = np.maximum.reduceat(values, np.flatnonzero(np.diff(arcs.pool, prepend=-1)))
        chosen = np.flatnonzero((values == top[arcs.pool]) & (top > best)[arcs.pool])
        # Of equals the first.
        chosen = chosen[np.diff(arcs.pool[chosen], prepend=-1) > 0]
        where, pool, second = arcs.split(chosen, lengths)
        dealt[order[where]] = partners[2 * pool + second]
        best = np.maximum(best, top)
    return dealt


def renumbered(packs: Numbers) -> Numbers:
    """The same packs from 0 on, none empty."""
    used = np.bincount(packs) > 0
    return (np.cumsum(used) - 1)[packs]


def _counted(sizes: Numbers) -> Numbers:
    """0 to size - 1 of every size, one behind the other."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _shuffled(pools: Numbers, rng: np.random.Generator) -> Numbers:
    """Numbers of the items pool by pool, inside a pool in random order; but the first of all is first."""
    bits = len(pools).bit_length()
    dice = rng.integers(1, 1 << 62 - 2 * bits, size=len(pools))
    dice[0] = 0
    # One sort of whole numbers is several times as fast as sorting items by keys.
    keys = (pools << 62 - bits) + (dice << bits) + np.arange(len(pools))
    keys.sort()
    return keys & (1 << bits) - 1


@dataclass(frozen=True)
class _Arcs:
    """Arcs to try, int64 [M]: each begins so many places before its circle does; all of them wrap.

    And its pool, the place where it begins, and begin and end of the circle.
    """

    back: Numbers
    pool: Numbers
    place: Numbers
    begin: Numbers
    end: Numbers

    @classmethod
    def of(cls, sizes: Numbers) -> "_Arcs":
        """Of pools of these sizes the begin and the last places."""
        tries = np.minimum(sizes, MOST_TRIES)
        pool, back = np.repeat(np.arange(len(sizes)), tries), _counted(tries)
        end = np.cumsum(sizes)[pool]
        begin = end - sizes[pool]
        return cls(back, pool, np.where(back > 0, end - back, begin), begin, end)

    def longest(self, order: Numbers, resources: Sequence[Resource], full: np.ufunc) -> tuple[Numbers, Reals]:
        """From each place the longest arc that a pack holds, and its fill; -1 where the rest doesn't fit."""
        totals = [np.append(0, np.cumsum(resource.sizes[order])) for resource in resources]
        lengths = self.end - self.begin
        for total, resource in zip(totals, resources, strict=True):
            lengths = np.minimum(lengths, self._reach(total, resource.capacity))
        fits, values = np.ones(len(lengths), dtype=np.bool_), np.zeros(len(lengths))
        for total, resource in zip(totals, resources, strict=True):
            taken, whole = self._sum(total, lengths), total[self.end] - total[self.begin]
            fits &= whole - taken <= resource.capacity
            values = full(values, taken / resource.capacity)
        return lengths, np.where(fits, values, -1.0)

    def _reach(self, total: Numbers, capacity: int) -> Numbers:
        """From each place, how many items of the circle a pack holds. total: running sum of sizes, from 0."""
        room = total[self.place] + capacity
        beyond = room >= total[self.end]
        room -= np.where(beyond, total[self.end] - total[self.begin], 0)
        reach = np.searchsorted(total, room, side="right") - 1
        # Behind its own begin an arc has nothing more to take.
        return np.where(beyond, np.minimum(reach, self.place) + self.end - self.begin, reach) - self.place

    def _sum(self, total: Numbers, lengths: Numbers) -> Numbers:
        """Size of each arc."""
        stop = self.place + lengths
        beyond = stop >= self.end
        size = total[stop - np.where(beyond, self.end - self.begin, 0)] - total[self.place]
        return size + np.where(beyond, total[self.end] - total[self.begin], 0)

    def split(self, chosen: Numbers, lengths: Numbers) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
        """All places of the circles of these arcs, each with its pool, and whether it lies behind the arc."""
        sizes = (self.end - self.begin)[chosen]
        arc, steps = np.repeat(chosen, sizes), _counted(sizes)
        places = self.place[arc] + steps
        places -= np.where(places >= self.end[arc], np.repeat(sizes, sizes), 0)
        return places, self.pool[arc], steps >= lengths[arc]
