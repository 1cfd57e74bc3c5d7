"""V2PE positions: the rule by hand, against the slow rule, and their speed."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.chat.positions import STRIDES, require_increment, v2pe_positions

PICTURE, TEXT = 9, 1
RUNS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 300), st.sampled_from(STRIDES)), max_size=4)


def slow_positions(ids: list[int], increments: list[float]) -> list[float]:
    """docs/facts/positions.md, token by token."""
    positions: list[float] = []
    last, anchor, count, run = -1.0, 0.0, 0, -1
    for token in ids:
        if token != PICTURE:
            last, count = math.ceil(last) + 1, 0
        else:
            if count == 0:
                anchor, run = last, run + 1
            count += 1
            last = anchor + count * increments[run]
        positions.append(last)
    return positions


@given(RUNS, st.integers(0, 3))
def test_equals_the_rule_token_by_token(runs: list[tuple[int, int, int]], tail: int) -> None:
    """Also when a picture stands first, and for several pictures with an increment each."""
    ids: list[int] = []
    for index, (text, visual, _) in enumerate(runs):
        ids += [TEXT] * max(text, index > 0) + [PICTURE] * visual
    ids += [TEXT] * tail
    increments = [stride / 256 for _, _, stride in runs]
    positions = v2pe_positions(np.array(ids, dtype=np.int32), PICTURE, increments)
    assert positions.dtype == np.float32
    assert positions.tolist() == slow_positions(ids, increments)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6)), min_size=1, max_size=4))
def test_full_increments_are_ordinary(runs: list[tuple[int, int]]) -> None:
    ids = [token for text, visual in runs for token in [TEXT] * text + [PICTURE] * visual] + [TEXT]
    for increments in (1.0, [1.0] * len(runs)):
        assert v2pe_positions(np.array(ids), PICTURE, increments).tolist() == list(range(len(ids)))


def test_rule_by_hand() -> None:
    """Text 0, 1; three visual tokens by 1/2 after 1; then ceil(2.5) + 1."""
    positions = v2pe_positions(np.array([1, 1, 9, 9, 9, 1, 1]), 9, [0.5])
    assert positions.tolist() == [0, 1, 1.5, 2, 2.5, 4, 5]
    with pytest.raises(ValueError, match="2 entries but the sequence has 1"):
        v2pe_positions(np.array([1, 9]), 9, [1.0, 1.0])


def test_ten_thousand_tokens_take_no_time() -> None:
    """Below 1 ms on an idle core; 10 leave room for a busy machine."""
    ids = np.array(([TEXT] * 10 + [PICTURE] * 256) * 40)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        v2pe_positions(ids, PICTURE, 1 / 64)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.010


@pytest.mark.parametrize("stride", STRIDES)
def test_trained_increments_pass(stride: int) -> None:
    assert require_increment(stride / 256) == stride / 256


@pytest.mark.parametrize("value", [0.0, 2.0, -1.0, 0.3, 1 / 512, float("nan")])
def test_other_increments_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="visual_increment = .*: give 1 "):
        require_increment(value)
