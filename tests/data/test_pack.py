"""Packing loses nothing, repeats nothing, cuts nothing and keeps both capacities."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.data.pack import Packer, Sample, collate

TOKENS, TILES = 20, 6


@dataclass(frozen=True)
class Item:
    """An item of known size."""

    number: int
    tokens: int
    tile_count: int


ITEMS = st.lists(st.tuples(st.integers(1, TOKENS), st.integers(0, TILES)), max_size=40).map(
    lambda sizes: [Item(number, *size) for number, size in enumerate(sizes)]
)


def pack_all(items: list[Item], lookahead: int) -> list[list[Item]]:
    """Run the packer over a list as the loader does."""
    packer: Packer[Item] = Packer(TOKENS, TILES)
    packs = []
    for item in items:
        packer.add(item)
        if len(packer.waiting) == lookahead:
            packs.append(packer.take())
    while packer.waiting:
        packs.append(packer.take())
    return packs


def fewest_packs(items: list[Item]) -> int:
    """The optimum by trying every placement: slow, for small lists only."""

    def place(index: int, packs: tuple[tuple[int, int], ...], best: int) -> int:
        if len(packs) >= best:
            return best
        if index == len(items):
            return len(packs)
        item = items[index]
        for number, (tokens, tiles) in enumerate(packs):
            total = (tokens + item.tokens, tiles + item.tile_count)
            if total[0] <= TOKENS and total[1] <= TILES:
                best = place(index + 1, (*packs[:number], total, *packs[number + 1 :]), best)
        return place(index + 1, (*packs, (item.tokens, item.tile_count)), best)

    return place(0, (), len(items) + 1)


@given(ITEMS, st.integers(1, 12))
def test_every_item_is_in_exactly_one_pack_and_capacities_hold(items: list[Item], lookahead: int) -> None:
    packs = pack_all(items, lookahead)
    assert Counter(item.number for pack in packs for item in pack) == Counter(item.number for item in items)
    for pack in packs:
        assert pack
        assert sum(item.tokens for item in pack) <= TOKENS
        assert sum(item.tile_count for item in pack) <= TILES


@given(ITEMS, st.integers(1, 12))
def test_each_pack_begins_with_the_item_that_waited_longest(items: list[Item], lookahead: int) -> None:
    heads = [pack[0].number for pack in pack_all(items, lookahead)]
    assert heads == sorted(heads)


@given(ITEMS, st.integers(1, 12))
def test_no_waiting_item_would_still_have_fitted(items: list[Item], lookahead: int) -> None:
    packer: Packer[Item] = Packer(TOKENS, TILES)
    for item in items[:lookahead]:
        packer.add(item)
    if not packer.waiting:
        return
    pack = packer.take()
    tokens, tiles = sum(i.tokens for i in pack), sum(i.tile_count for i in pack)
    assert not any(tokens + i.tokens <= TOKENS and tiles + i.tile_count <= TILES for i in packer.waiting)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, TOKENS), st.integers(0, TILES)), min_size=1, max_size=7))
def test_close_to_the_brute_force_optimum(sizes: list[tuple[int, int]]) -> None:
    items = [Item(number, *size) for number, size in enumerate(sizes)]
    best = fewest_packs(items)
    assert best <= len(pack_all(items, lookahead=len(items))) <= best + 1


def test_the_oracle_finds_a_known_optimum() -> None:
    assert fewest_packs([Item(0, 12, 0), Item(1, 8, 6), Item(2, 20, 0), Item(3, 1, 1)]) == 3


def test_an_item_larger_than_a_pack_is_named() -> None:
    packer: Packer[Sample] = Packer(TOKENS, TILES)
    with pytest.raises(ValueError, match=r"photos:7: 21 tokens and 0 tiles exceed a pack of 20 "):
        packer.add(make_sample("photos:7", 21, 0))


def make_sample(key: str, tokens: int, tiles: int, value: int = 1) -> Sample:
    weights = np.zeros(tokens, dtype=np.float32)
    weights[tokens // 2 + 1 :] = 0.5
    pixels = np.full((tiles, 4, 4, 3), value, dtype=np.uint8)
    return Sample(key, np.full(tokens, value, dtype=np.int32), weights, pixels)


def test_collate_lays_samples_end_to_end() -> None:
    pack = collate([make_sample("a:0", 5, 2, 1), make_sample("b:3", 4, 0, 2), make_sample("a:9", 6, 1, 3)])
    assert pack.ids.dtype == torch.int64
    assert pack.weights.dtype == torch.float32
    assert pack.tiles.dtype == torch.uint8
    assert pack.ids.tolist() == [1] * 5 + [2] * 4 + [3] * 6
    assert pack.lengths == (5, 4, 6)
    assert pack.tiles.shape == (3, 4, 4, 3)
    assert pack.tiles[:, 0, 0, 0].tolist() == [1, 1, 3]
    assert pack.tiles_per_sample == (2, 0, 1)
    assert pack.keys == ("a:0", "b:3", "a:9")
    assert pack.trained == (2, 1, 2)
    assert int((pack.weights > 0).sum()) == sum(pack.trained)


def test_a_target_on_a_first_token_is_refused() -> None:
    sample = make_sample("a:0", 3, 0)
    sample.weights[0] = 1
    with pytest.raises(ValueError, match="a:0: the first token carries a loss weight"):
        collate([sample])


def test_an_empty_pack_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        collate([])
