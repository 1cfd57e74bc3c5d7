"""Paired differences: exact tests against enumeration, and that chance is told from change."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.evaluation.comparing.chance import exchange_ratios, mcnemar, normal_chance
from tessera.evaluation.comparing.differences import differences_of
from tessera.evaluation.comparing.resampling import unit_of
from tessera.scoring.verdict import OVERALL
from tests.evaluation.graded import ComputedMean, Mean, graded


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_binomial_test(gained: int, lost: int) -> None:
    flipped = gained + lost
    tail = sum(math.comb(flipped, k) for k in range(min(gained, lost) + 1)) / 2**flipped
    assert mcnemar(gained, lost) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)
    assert mcnemar(gained, lost) == mcnemar(lost, gained)


def test_mcnemar_of_many() -> None:
    assert mcnemar(100_000, 100_000) == 1.0
    assert 0 < mcnemar(100_500, 99_500) < 0.05 < mcnemar(100_200, 99_800)


def test_exchange_is_the_enumeration() -> None:
    """All 2^10 ways to exchange ten units, of unequal size below the line too."""
    rows = np.random.default_rng(0).random((10, 4)) + 0.5
    rows[:, 2] += 0.25

    def difference(swaps: tuple[int, ...]) -> float:
        one, two, three, four = np.where(np.array(swaps)[:, None], rows[:, [2, 3, 0, 1]], rows).sum(axis=0)
        return abs(three / four - one / two)

    seen = difference((0,) * 10)
    exact = np.mean([difference(swaps) >= seen - 1e-12 for swaps in product((0, 1), repeat=10)])
    assert exchange_ratios(rows, (1.0, 1.0), np.random.default_rng(1)) == pytest.approx(exact, abs=0.015)


def test_right_and_wrong() -> None:
    one, two = [1] * 60 + [0] * 40, [1] * 52 + [0] * 8 + [1] * 20 + [0] * 20
    found = differences_of(graded(one), graded(two), Mean())[OVERALL]
    assert (found.one, found.two, found.difference) == (60, 72, 12)
    assert found.p == mcnemar(20, 8) and "McNemar" in found.how
    error = 100 * np.std(np.array(two) - np.array(one), ddof=1) / 10
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.12)
    assert found.low < 12 < found.high


def test_both_ways_agree() -> None:
    random = np.random.default_rng(2)
    one = random.random(120)
    two = np.clip(one + random.normal(0.03, 0.1, 120), 0, 1)
    ratio, computed = (
        differences_of(graded(one.tolist()), graded(two.tolist()), aggregate)[OVERALL]
        for aggregate in (Mean(), ComputedMean())
    )
    assert computed.difference == pytest.approx(ratio.difference)
    assert (computed.low, computed.high) == pytest.approx((ratio.low, ratio.high), abs=0.4)
    assert computed.p == pytest.approx(ratio.p, abs=0.02)


def test_copies_of_a_question_are_one_witness() -> None:
    """Eight gained questions are sure; the same eight answers about one picture are not."""
    one, two = [0] * 8 + [1] * 8, [1] * 16
    alone = differences_of(graded(one), graded(two), Mean())[OVERALL]
    pictures = ["p"] * 8 + [f"q{at}" for at in range(8)]
    together = differences_of(graded(one, pictures), graded(two, pictures), Mean(), unit_of("picture"))[
        OVERALL
    ]
    assert alone.p < 0.01 and together.p == 1.0
    assert together.low == 0


def test_no_difference_is_likely() -> None:
    same = graded([1, 0, 0.5] * 10)
    for aggregate in (Mean(), ComputedMean()):
        found = differences_of(same, same, aggregate, seconds=0)[OVERALL]
        assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1.0)


def test_p_values_are_even_when_nothing_changed() -> None:
    """Where both runs are alike, one in ten p values is below 0.1, for graded scores as for shares."""
    random = np.random.default_rng(7)
    below = 0
    for seed in range(100):
        one, two = random.random((2, 30)).tolist()
        below += differences_of(graded(one), graded(two), Mean(), seed=seed, draws=50)[OVERALL].p < 0.1
    assert 2 <= below <= 20


def test_other_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="match them first"):
        differences_of(graded([1, 0]), graded([1]), Mean())
    with pytest.raises(ValueError, match="match them first"):
        differences_of([], [], Mean())


def test_sums_differ_by_sums() -> None:
    one, two = graded([1, 0, 0, 1] * 10), graded([1, 1, 0, 1, 1, 0, 0, 1] * 5)
    found = differences_of(one, two, lambda run: {OVERALL: sum(g.verdict.score for g in run)})[OVERALL]
    mean = differences_of(one, two, ComputedMean())[OVERALL]
    assert (found.difference, found.p) == (5, mean.p)
    assert (found.low, found.high) == pytest.approx((0.4 * mean.low, 0.4 * mean.high))


def test_without_time_p_is_from_the_standard_error() -> None:
    random = np.random.default_rng(5)
    one = random.random(100)
    two = np.clip(one + random.normal(0.02, 0.1, 100), 0, 1)
    quick, slow = (
        differences_of(graded(one.tolist()), graded(two.tolist()), ComputedMean(), seconds=seconds)[OVERALL]
        for seconds in (0, 1e6)
    )
    assert quick.how == "spread of 20 halves, normal" and slow.how == "1000 halves, random exchange"
    assert quick.p == pytest.approx(slow.p, abs=0.15)
    assert normal_chance(1.96, 1.0) == pytest.approx(0.05, abs=1e-4) and normal_chance(0.0, 0.0) == 1
    assert math.isnan(normal_chance(1.0, 0.0))
