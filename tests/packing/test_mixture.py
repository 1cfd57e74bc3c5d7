"""Packs and steps are mixtures: no plan lays long with long, or one source's samples with one another.

The planner once opened each pack with the hardest samples; a pack was 18 long conversations or 48 short
descriptions, and a step's gradient belonged to one kind of data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tessera.chat.encoder import Lengths
from tessera.packing.config import PackingConfig
from tessera.packing.measure import Measured, PackItem
from tessera.packing.mix import Draw, MixState
from tessera.packing.planning.balance import Work
from tessera.packing.planning.buffers import least_packs
from tessera.packing.planning.plan import plan_packs
from tessera.packing.planning.window import Window, WindowState

Table = NDArray[np.int64]
"""Of every sample: tokens, tiles, source, tokens of the answer."""
MAX_TOKENS, MAX_TILES = 4096, 24
SAMPLES = 8000


def conversations(rng: np.random.Generator) -> Table:
    """Long conversations with short answers, and short descriptions that are all answer; one tile each."""
    source = (rng.random(SAMPLES) < 0.6).astype(np.int64)
    answer = np.where(source, rng.integers(30, 70, SAMPLES), rng.integers(5, 40, SAMPLES))
    tokens = answer + np.where(source, 20, rng.integers(100, 250, SAMPLES))
    return np.stack([tokens, np.ones_like(tokens), source, answer])


def texts(rng: np.random.Generator) -> Table:
    """Nothing but text, of very different lengths; one capacity binds."""
    tokens = rng.lognormal(4.6, 0.9, SAMPLES).clip(16, 3000).astype(np.int64)
    return np.stack([tokens, 0 * tokens, (rng.random(SAMPLES) < 0.2).astype(np.int64), tokens // 3])


def pictures(rng: np.random.Generator) -> Table:
    """One to seven tiles of 64 tokens and a little text; tiles bind."""
    tiles = rng.choice([1, 3, 5, 7], SAMPLES, p=[0.2, 0.3, 0.3, 0.2])
    answer = rng.lognormal(3.5, 0.6, SAMPLES).clip(5, 300).astype(np.int64)
    return np.stack([64 * tiles + 20 + answer, tiles, (tiles > 4).astype(np.int64), answer])


def clips_and_texts(rng: np.random.Generator) -> Table:
    """Clips of few words and long texts: both capacities bind."""
    clip = (rng.random(SAMPLES) < 0.5).astype(np.int64)
    tiles = clip * rng.integers(2, 9, SAMPLES)
    answer = np.where(clip, rng.integers(5, 60, SAMPLES), rng.integers(50, 700, SAMPLES))
    return np.stack([tiles * 72 + 20 + answer, tiles, clip, answer])


def whole(table: Table) -> list[list[int]]:
    return plan_packs(table[0], table[1], MAX_TOKENS, MAX_TILES, seed=3)


def windowed(table: Table, **changes: Any) -> list[list[int]]:
    """Through the loader's window."""
    start = MixState(0, (0,))
    draws = [Draw(0, number, number, start) for number in range(SAMPLES)]

    def measure(draw: Draw) -> Measured:
        return Measured(draw, (PackItem(draw, Lengths(*map(int, table[:2, draw.index]))),))

    class InOrder:
        state = start

        def __iter__(self) -> Iterator[Draw]:
            return iter(draws)

    config = PackingConfig(max_tokens=MAX_TOKENS, max_tiles=MAX_TILES, epochs=1, seed=3, **changes)
    mixer: Any = InOrder()
    window = Window(lambda: mixer, measure, config, packs_per_step=1, work=Work(), indexed=True)
    steps = (step for planned in window.rounds(WindowState(start)) for step in planned.steps)
    return [[item.draw.index for item in pack] for step in steps for pack in step]


@pytest.mark.parametrize("seed", range(6))
def test_small_items_that_use_up_both_resources_come_close_to_the_bound(seed: int) -> None:
    """Tiles as plentiful as tokens to a few percent: the published buffers need up to 13 % more packs."""
    rng = np.random.default_rng(seed)
    tiles = np.concatenate([rng.choice([1, 3, 5, 7], 1500), rng.integers(1, 12, 1500)])
    tokens = tiles * rng.choice([16, 64, 256]) + rng.lognormal(5, 0.8, 3000).clip(5, 2000).astype(np.int64)
    max_tiles = round(tiles.sum() / tokens.sum() * 16384 * rng.uniform(0.95, 1.05))
    bound = least_packs(int(tokens.sum()), int(tiles.sum()), 16384, max_tiles)
    assert len(plan_packs(tokens, tiles, 16384, max_tiles, seed)) <= 1.015 * bound + 1


def random_packs(table: Table, seed: int) -> list[list[int]]:
    """Next fit of a random order: what independent draws give."""
    packs: list[list[int]] = [[]]
    room = [MAX_TOKENS, MAX_TILES]
    for item in np.random.default_rng(seed).permutation(SAMPLES).tolist():
        tokens, tiles = table[:2, item].tolist()
        if tokens > room[0] or tiles > room[1]:
            packs.append([])
            room = [MAX_TOKENS, MAX_TILES]
        packs[-1].append(item)
        room = [room[0] - tokens, room[1] - tiles]
    return packs


def means(packs: list[list[int]], values: Table) -> NDArray[np.float64]:
    """By pack, in their order. The last may be a rest of few samples."""
    return np.array([values[pack].mean() for pack in packs[:-1]])


@pytest.mark.parametrize("planner", [whole, windowed])
@pytest.mark.parametrize("mixture", [conversations, texts, pictures, clips_and_texts])
def test_packs_are_as_even_as_random_ones_and_as_full_as_can_be(
    planner: Callable[[Table], list[list[int]]], mixture: Callable[[np.random.Generator], Table]
) -> None:
    table = mixture(np.random.default_rng(5))
    packs = planner(table)
    assert sorted(item for pack in packs for item in pack) == list(range(SAMPLES))
    bound = least_packs(int(table[0].sum()), int(table[1].sum()), MAX_TOKENS, MAX_TILES)
    assert len(packs) <= 1.015 * bound
    at_random = [random_packs(table, seed) for seed in range(5)]
    for values in table[[0, 2, 3]]:
        for step in (1, 4):
            ours = [sum(packs[at : at + step], []) for at in range(0, len(packs) - step, step)]
            theirs = [
                sum(other[at : at + step], [])
                for other in at_random
                for at in range(0, len(other) - step, step)
            ]
            assert means(ours, values).var() <= 1.2 * means(theirs, values).var()
        by_pack = means(packs, values) - means(packs, values).mean()
        follows = (by_pack[1:] * by_pack[:-1]).sum() / (by_pack**2).sum()
        assert abs(follows) < 4 / np.sqrt(len(packs)), "successive packs are alike"


@pytest.mark.parametrize("size", [64, 300])
def test_small_windows_give_mixtures(size: int) -> None:
    """Drawn pictures are planned 64 at a time: two or three packs."""
    table = conversations(np.random.default_rng(6))
    packs = windowed(table, window=size)
    assert len(packs) <= 1.015 * least_packs(int(table[0].sum()), int(table[1].sum()), MAX_TOKENS, MAX_TILES)
    for values in table[[0, 2, 3]]:
        assert means(packs, values).var() <= 1.2 * means(random_packs(table, 0), values).var()
