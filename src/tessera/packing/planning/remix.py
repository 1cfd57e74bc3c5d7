"""Random packs: few that are gathered from random ones, and mixtures made of any plan's."""

from collections.abc import Sequence

import numpy as np

from tessera.packing.planning.deal import Numbers, Resource, deal, renumbered

MIXINGS = 12
"""Deals of every pack; about half of them find a split."""
GATHERINGS, TIMES = 6, 2
"""Tournaments of the emptier half of the packs, and random orders that each pair tries."""


def remix(packs: Numbers, resources: Sequence[Resource], seed: int) -> Numbers:
    """The pack of every item, int64 [N], dealt until packs are mixtures; packs: before, from 0 on.

    A planner that fills packs tightly lays alike with alike; every deal evens out what two packs differ by.
    The pack of most items meets that of fewest: kinds differ in length, so there is most to even out.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    for _ in range(MIXINGS):
        items = np.bincount(packs)
        ranked = np.argsort(items + rng.random(len(items)))
        half = len(items) // 2
        pairs = np.stack([ranked[:half], ranked[::-1][:half]], axis=1).ravel()
        packs = renumbered(deal(packs, pairs, resources, rng))
    return rng.permutation(int(packs.max()) + 1)[packs]


def gather(tokens: Resource, tiles: Resource, seed: int) -> Numbers:
    """Every item in one of few packs, int64 [N]: for small items that use up both resources.

    Packs of a random order hold both in proportion, and only their ends are loose. Two are dealt so that one
    is as full as can be, and leaves; the other has the room of both and meets the next: room adds up to
    packs. Then the emptier half of all packs plays again.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    packs = _in_turn(tokens, tiles, rng)
    playing = np.arange(packs.max() + 1)
    for _ in range(GATHERINGS):
        packs = _tournament(packs, playing, (tokens, tiles), rng)
        packs = renumbered(packs)
        fills = sum(np.bincount(packs, r.sizes) / r.capacity for r in (tokens, tiles))
        playing = np.flatnonzero(fills <= np.median(fills))
    return packs


def _tournament(
    packs: Numbers, playing: Numbers, resources: Sequence[Resource], rng: np.random.Generator
) -> Numbers:
    """Deal until one of these packs is left that isn't full."""
    while len(playing) > 1:
        playing = rng.permutation(playing)
        pairs = playing[: len(playing) // 2 * 2]
        packs = deal(packs, pairs, resources, rng, TIMES, np.add)
        # The first is full and leaves, unless it took all.
        left = np.isin(pairs[1::2], packs)
        playing = np.append(np.where(left, pairs[1::2], pairs[::2]), playing[len(pairs) :])
    return packs


def _in_turn(tokens: Resource, tiles: Resource, rng: np.random.Generator) -> Numbers:
    """Next fit of a random order: the pack of every item."""
    order = rng.permutation(len(tokens.sizes))
    token_room, tile_room, number = tokens.capacity, tiles.capacity, 0
    numbers = []
    for size, count in zip(tokens.sizes[order].tolist(), tiles.sizes[order].tolist(), strict=True):
        token_room, tile_room = token_room - size, tile_room - count
        if token_room < 0 or tile_room < 0:
            token_room, tile_room, number = tokens.capacity - size, tiles.capacity - count, number + 1
        numbers.append(number)
    packs = np.empty_like(order)
    packs[order] = numbers
    return packs
