"""Rates over a stage, by hand."""

import pytest

from tessera.train.update.schedule import Schedule


def test_cosine_with_warmup_and_floor() -> None:
    schedule = Schedule(warmup=3, floor=0.2)
    factors = [schedule.factor(step, 11) for step in range(11)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert schedule.factor(7, 11) == pytest.approx(0.6)  # half way down
    assert all(a > b for a, b in zip(factors[3:], factors[4:], strict=False))
    assert 0.2 <= factors[-1] < 0.25


def test_linear_constant_and_hold() -> None:
    assert Schedule(kind="linear", warmup=0).factor(5, 10) == pytest.approx(0.5)
    assert Schedule(kind="constant", warmup=0).factor(9, 10) == 1.0
    held = Schedule(kind="linear", warmup=0, hold=0.5)
    assert held.factor(4, 10) == 1.0
    assert held.factor(6, 10) == pytest.approx(0.8)


def test_fractional_warmup_is_a_share() -> None:
    assert Schedule(warmup=0.1).factor(0, 100) == pytest.approx(1 / 11)
    assert Schedule(warmup=0.1).factor(10, 100) == 1.0
