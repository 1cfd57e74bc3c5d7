"""The packing benchmark runs, its bound is a bound, and its baselines do what the facts describe."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import packing_workload
from benchmarks.packing import PLANNERS, first_fit, goals, official, run, table
from benchmarks.packing_workload import DISTRIBUTIONS, dual_feasible, lower_bound


def test_goals_hold_on_small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_workload, "TOKEN_STEPS", 32)  # a coarser bound is found sooner
    results = run(samples=500, seed=3, repeats=1)
    assert set(results) == set(DISTRIBUTIONS)
    reached = goals(results)
    assert reached["never more packs than the official algorithm"]
    for name, result in results.items():
        assert set(result["planners"]) == set(PLANNERS)
        for label, row in result["planners"].items():
            assert row["packs"] >= result["bound"], f"{name}, {label}: the bound is none"
    assert "| mixture | official buffers |" in table(results)


def test_the_official_buffers_by_hand() -> None:
    """48 tiles leave at once; a sample goes to the fullest buffer by tiles that has room."""
    tokens, tiles = np.array([100] * 5), np.array([40, 30, 9, 10, 8])
    assert official(tokens, tiles) == [[0, 4], [1, 2], [3]]
    assert first_fit(tokens, tiles) == [[0, 4], [1, 2], [3]]


def test_bounds_of_known_cases() -> None:
    tokens = np.full(10, 100)
    assert lower_bound(tokens, np.full(10, 25))[0] == 10, "two of 25 tiles don't share 48"
    assert lower_bound(tokens, np.full(10, 24))[0] == 5
    assert dual_feasible(np.full(10, 25), 48) == pytest.approx(10)
