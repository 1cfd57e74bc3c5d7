"""Packs over ranks: equal counts, even work, the same in every process."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.chat.encoder import Lengths
from tessera.packing.planning.balance import Work, alike, deal

WORKS = st.lists(st.floats(0, 1e15, allow_nan=False), max_size=40)


@given(WORKS, st.integers(1, 8))
def test_every_pack_goes_to_one_rank_in_equal_numbers(works: list[float], ranks: int) -> None:
    shares = deal(works, ranks)
    assert sorted(number for share in shares for number in share) == list(range(len(works)))
    counts = [len(share) for share in shares]
    assert max(counts) - min(counts) <= 1
    assert counts == sorted(counts, reverse=True)
    assert shares == deal(works, ranks)


def spread(works: list[float], shares: list[list[int]]) -> float:
    """The longest wait: how much more the slowest rank does than the mean."""
    loads = [sum(works[number] for number in share) for share in shares]
    return max(loads) / (sum(loads) / len(loads)) - 1


def test_waits_are_a_fraction_of_those_of_round_robin() -> None:
    """Full packs of text, pictures and video differ by what the ViT adds."""
    rng, work = random.Random(0), Work(tile=1e12, token=2e9, pair=1e5)
    ours = theirs = 0.0
    for _ in range(100):
        works = [
            work.of([Lengths(rng.randint(200, 4000), rng.randint(0, 12))] * rng.randint(2, 4))
            for _ in range(32)
        ]
        ours += spread(works, deal(works, 8))
        theirs += spread(works, [list(range(rank, 32, 8)) for rank in range(8)])
    assert ours < theirs / 4


def test_steps_of_similar_packs_leave_little_to_wait_for() -> None:
    rng = random.Random(1)
    works = [rng.lognormvariate(0, 1) for _ in range(256)]
    groups = alike(works, 8)
    assert sorted(number for group in groups for number in group) == list(range(256))
    similar = sum(spread(works, [[number] for number in group]) for group in groups)
    random_steps = sum(spread(works, [[n] for n in range(start, start + 8)]) for start in range(0, 256, 8))
    assert similar < random_steps / 5


def test_work_counts_tiles_tokens_and_pairs_of_each_sample() -> None:
    assert Work(tile=100, token=10, pair=1).of([Lengths(3, 2), Lengths(1, 0)]) == 200 + 40 + 6 + 1


def test_no_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match="ranks 0"):
        deal([1.0], 0)
