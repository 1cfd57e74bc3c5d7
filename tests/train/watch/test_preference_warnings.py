"""Warnings of preference training: said of a window of steps, and of nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tessera.train.watch.preferences import WINDOW, preference_warnings
from tessera.train.watch.telemetry import StepReport

USUAL = {"kl": 0.01, "reward_chosen": 0.2, "margin": 0.4, "length_pull": 0.1, "accuracy": 0.7}
STEP = StepReport(
    *("align", 0, 0, 100, 1.0, 8.0, 1.0, 1.0, 8, 512, 8, 200, 1.0, 0.0, 1.0, 1.0), figures=USUAL
)


@pytest.mark.parametrize(
    ("figures", "kind", "said"),
    [
        ({"kl": 0.8}, "collapse", "answers have lost 0.80 nats a token beside the reference"),
        ({"reward_chosen": -1.5}, "unlearned", r"chosen answers became less probable \(reward -1.50\)"),
        ({"length_pull": 0.9}, "length", r"margins follow length \(correlation 0.90\)"),
        ({"reward_chosen": -1.5, "margin": -0.1}, None, ""),
        ({}, None, ""),
    ],
)
def test_what_a_window_says(figures: dict[str, float], kind: str | None, said: str) -> None:
    steps = [replace(STEP, step=step, figures=USUAL | figures) for step in range(WINDOW)]
    found = preference_warnings([replace(STEP, figures=USUAL), *steps])
    assert list(found) == ([kind] if kind else [])
    if kind:
        assert re.search(said, found[kind])
    assert not preference_warnings(steps[1:]), "too few steps"
    assert not preference_warnings([replace(step, figures={}) for step in steps]), "another objective"
    assert not preference_warnings([replace(step, skipped=True) for step in steps])
