"""Which samples share a pack: tokens and tiles as two capacities, decided on counts alone.

First few packs, by the best of several plans: `shelves` begins packs at random or with the hardest items and
fills one resource exactly; where both run out at once, `remix` gathers packs that hold them in proportion;
the published `buffers` come last, so that no lengths need more packs than there. Then mixtures: packs are
dealt anew, as many as there are, until their composition is that of random packs (`remix`).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tessera.packing.planning.buffers import buffer_packs, least_packs
from tessera.packing.planning.deal import Resource
from tessera.packing.planning.remix import gather, remix
from tessera.packing.planning.shelves import shelve

PLANNER = 2
"""Goes up when the same draws give other packs: a position inside a round of the old ones means nothing."""
SMALL = 0.2
"""Mean share of a pack up to which packs that begin at random can be finished well."""
FINISH = 3
"""The part of a pack that is then filled exactly, in items of mean size."""
NEAR = 1.0025
"""So close to the bound the hardest items needn't begin."""
BOTH, LOOSE = 0.85, 1.01
"""One resource needs this share of the packs that the other needs: both bind, and plans far from the bound
can be bettered."""
Numbers = NDArray[np.int64]


def plan_packs(
    tokens: ArrayLike, tiles: ArrayLike, max_tokens: int, max_tiles: int, seed: int = 0
) -> list[list[int]]:
    """Every item in exactly one pack, no pack over either capacity: lists of item numbers, ascending.

    tokens, tiles: int [N], sizes of the items. Composition is that of random packs, or more even; item 0 is
    in the first. Never more packs than the published buffers need for the items in this order. Deterministic.
    ValueError naming the first item that no pack can hold.
    """
    tight = fewest_packs(tokens, tiles, max_tokens, max_tiles, seed)
    if not tight:
        return []
    packs = np.empty(sum(map(len, tight)), dtype=np.int64)
    packs[np.concatenate(tight)] = np.repeat(np.arange(len(tight)), [len(pack) for pack in tight])
    both = (Resource(_whole(tokens), max_tokens), Resource(_whole(tiles), max_tiles))
    packs = remix(packs, [r for r in both if r.sizes.sum() > r.capacity], seed)
    return _lists((packs - packs[0]) % (int(packs.max()) + 1))


def fewest_packs(
    tokens: ArrayLike, tiles: ArrayLike, max_tokens: int, max_tiles: int, seed: int = 0
) -> list[list[int]]:
    """The plan before it is mixed, alike with alike: for those who only count packs."""
    t, v = _whole(tokens), _whole(tiles)
    _check(t, v, max_tokens, max_tiles)
    if not len(t):
        return []
    best: list[list[int]] = []
    least = least_packs(int(t.sum()), int(v.sum()), max_tokens, max_tiles)
    share = max(t.mean() / max_tokens, v.mean() / max(max_tiles, 1))
    if share <= SMALL:
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(t)).tolist()
        best = shelve(t, v, max_tokens, max_tiles).pack_all(max_tokens, max_tiles, order, FINISH * share)
    if not best or len(best) > NEAR * least:
        hardest = shelve(t, v, max_tokens, max_tiles).pack_all(max_tokens, max_tiles)
        best = min(best or hardest, hardest, key=len)
    by_tokens, by_tiles = t.sum() / max_tokens, v.sum() / max(max_tiles, 1)
    both = min(by_tokens, by_tiles) > BOTH * max(by_tokens, by_tiles)
    if both and share <= SMALL and len(best) > LOOSE * least:
        gathered = gather(Resource(t, max_tokens), Resource(v, max_tiles), seed)
        best = min(best, _lists(gathered), key=len)
    # As published a sample without tiles carries an empty one, and rarely that happens to be better.
    for shown in (v, np.maximum(v, min(1, max_tiles))):
        if len(best) > least:
            best = buffer_packs(t.tolist(), shown.tolist(), max_tokens, max_tiles, len(best)) or best
    return best


def _lists(packs: Numbers) -> list[list[int]]:
    parts = np.split(np.argsort(packs, kind="stable"), np.cumsum(np.bincount(packs))[:-1])
    return [part.tolist() for part in parts]


def _whole(sizes: ArrayLike) -> Numbers:
    return np.asarray(sizes, dtype=np.int64)


def _check(t: Numbers, v: Numbers, max_tokens: int, max_tiles: int) -> None:
    if t.shape != v.shape or t.ndim != 1:
        raise ValueError(f"tokens {t.shape}, tiles {v.shape}: give two lists of one length")
    wrong = np.flatnonzero((t > max_tokens) | (v > max_tiles) | (t < 1) | (v < 0))
    if len(wrong):
        item = int(wrong[0])
        raise ValueError(
            f"item {item}: {t[item]} tokens and {v[item]} tiles don't fit a pack of {max_tokens} tokens and "
            f"{max_tiles} tiles; raise them or apply an over-long policy first"
        )
