"""The planner loses nothing, repeats nothing, keeps both capacities and comes close to the optimum."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.packing.planning.buffers import buffer_packs
from tessera.packing.planning.plan import plan_packs

Sizes = list[tuple[int, int]]


@st.composite
def workloads(draw: st.DrawFn, most: int = 60) -> tuple[Sizes, int, int]:
    """Lengths with the capacities they fit; tokens or tiles may be the scarcer resource."""
    max_tokens, max_tiles = draw(st.integers(1, 3000)), draw(st.integers(0, 60))
    sizes = st.tuples(st.integers(1, max_tokens), st.integers(0, max_tiles))
    return draw(st.lists(sizes, max_size=most)), max_tokens, max_tiles


def plan(sizes: Sizes, max_tokens: int, max_tiles: int, seed: int = 0) -> list[list[int]]:
    return plan_packs([t for t, _ in sizes], [v for _, v in sizes], max_tokens, max_tiles, seed)


@settings(max_examples=300, deadline=None)
@given(workloads())
def test_every_item_is_in_one_pack_and_capacities_hold(workload: tuple[Sizes, int, int]) -> None:
    sizes, max_tokens, max_tiles = workload
    packs = plan(*workload)
    assert Counter(item for pack in packs for item in pack) == Counter(range(len(sizes)))
    for pack in packs:
        assert pack
        assert sum(sizes[item][0] for item in pack) <= max_tokens
        assert sum(sizes[item][1] for item in pack) <= max_tiles
    assert packs == plan(*workload)


@settings(max_examples=60, deadline=None)
@given(workloads(), st.integers(0, 5))
def test_the_first_item_is_in_the_first_pack_whatever_the_seed(
    workload: tuple[Sizes, int, int], seed: int
) -> None:
    packs = plan(*workload, seed)
    assert not workload[0] or packs[0][0] == 0


@settings(max_examples=400, deadline=None)
@given(workloads())
def test_never_more_packs_than_the_published_buffers(workload: tuple[Sizes, int, int]) -> None:
    assert len(plan(*workload)) <= published(*workload)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2)), min_size=1, max_size=30))
def test_never_more_packs_than_published_for_small_items(sizes: Sizes) -> None:
    assert len(plan(sizes, 8, 4)) <= published(sizes, 8, 4)


def published(sizes: Sizes, max_tokens: int, max_tiles: int) -> int:
    """Packs of the published rule, with and without an empty tile for text."""
    tokens, tiles = [t for t, _ in sizes], [v for _, v in sizes]
    counts = []
    for least in {0, min(1, max_tiles)}:
        carried = [max(v, least) for v in tiles]
        packs = buffer_packs(tokens, carried, max_tokens, max_tiles, len(sizes) + 1)
        assert packs is not None
        assert Counter(item for pack in packs for item in pack) == Counter(range(len(sizes)))
        counts.append(len(packs))
    return min(counts)


def test_the_published_buffers_by_hand() -> None:
    """48 tiles leave at once, a full pack of tokens too; an item goes where most tiles are."""
    assert buffer_packs([100] * 5, [40, 30, 9, 10, 8], 16384, 48, 9) == [[0, 4], [1, 2], [3]]
    assert buffer_packs([60, 50, 40, 50], [1] * 4, 100, 48, 9) == [[0, 2], [1, 3]]
    assert buffer_packs([100] * 5, [40, 30, 9, 10, 8], 16384, 48, 3) is None


def test_both_resources_run_out_together() -> None:
    """One tile each: the longest first left packs full of tokens, and then packs full of tiles."""
    assert len(plan([(t, 1) for t in (3, 3, 2, 3, 4)], 8, 4)) == 2
    further = np.random.default_rng(0).integers(20, 161, 3000)
    assert len(plan_packs(256 + further, np.ones(3000), 16384, 48)) == 64


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 6)), min_size=1, max_size=7))
def test_close_to_the_brute_force_optimum(sizes: Sizes) -> None:
    best = fewest_packs(sizes, 20, 6)
    assert best <= len(plan(sizes, 20, 6)) <= best + 1


def fewest_packs(sizes: Sizes, max_tokens: int, max_tiles: int) -> int:
    """The optimum by trying every placement: slow, for small lists only."""

    def place(index: int, packs: tuple[tuple[int, int], ...], best: int) -> int:
        if len(packs) >= best:
            return best
        if index == len(sizes):
            return len(packs)
        for number, held in enumerate(packs):
            total = (held[0] + sizes[index][0], held[1] + sizes[index][1])
            if total[0] <= max_tokens and total[1] <= max_tiles:
                best = place(index + 1, (*packs[:number], total, *packs[number + 1 :]), best)
        return place(index + 1, (*packs, sizes[index]), best)

    return place(0, (), len(sizes) + 1)


def test_the_oracle_finds_a_known_optimum() -> None:
    assert fewest_packs([(12, 0), (8, 6), (20, 0), (1, 1)], 20, 6) == 3


def test_tiles_that_add_up_exactly_are_found() -> None:
    """Largest first would put 7 and 4 together (11 of 12) and need four packs."""
    sizes = [(1, 7), (1, 5), (1, 7), (1, 5), (1, 4), (1, 8), *[(50, 0)] * 6]
    packs = plan(sizes, 104, 12)
    assert len(packs) == 3
    assert all(sum(sizes[item][1] for item in pack) == 12 for pack in packs)


def test_tokens_that_are_scarce_are_filled_as_well() -> None:
    """Big items and few tiles: pairs of 2/3 and 1/3 of the tokens."""
    sizes = [(5400, 10), (2790, 5)] * 200
    assert len(plan(sizes, 8192, 48)) == 200


@pytest.mark.parametrize(
    ("tokens", "tiles", "message"),
    [
        ([5, 21], [0, 0], "item 1: 21 tokens and 0 tiles don't fit a pack of 20 tokens and 6 tiles"),
        ([5, 6], [7, 0], "item 0: 5 tokens and 7 tiles"),
        ([0], [0], "item 0: 0 tokens"),
        ([1, 2], [0], "two lists of one length"),
    ],
)
def test_items_that_no_pack_holds_are_named(tokens: list[int], tiles: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_packs(tokens, tiles, 20, 6)


def test_a_hundred_thousand_samples_are_planned_in_little_time() -> None:
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 14, 100_000)
    packs = plan_packs(256 * tiles + rng.integers(20, 400, 100_000), tiles, 16384, 48)
    assert sum(map(len, packs)) == 100_000
    assert len(packs) <= 1.01 * tiles.sum() / 48
