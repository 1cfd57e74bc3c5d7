"""Every aggregate that a declaration can name: its ratios are its figures, its intervals hold them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tessera.evaluation.comparing.differences import differences_of
from tessera.evaluation.comparing.intervals import interval_of
from tessera.scoring.ratio import RatioAggregate
from tessera.scoring.registry import AGGREGATES
from tessera.scoring.verdict import OVERALL, Aggregate, Graded, Reference, Verdict

SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "mean": ({}, {"by": ["category", "split"]}, {"percent": False}, {"of_groups": "category"}),
    "sum": ({}, {"by": "split"}),
    "grouped": ({"column": "category", "groups": {"both": ["OCR", "color"]}},),
    "consecutive": ({"of": 2}, {"of": 4, "by": "split"}),
    "circular": ({}, {"by": "category"}),
    "mmmu": ({"subject": "category"},),
    "mme": ({}, {"picture": "picture"}),
    "pope": tuple({"rules": rules} for rules in ("official", "vlmevalkit", "lmms-eval")),
    "yes_no": ({}, {"by": "category"}),
}
CASES = [(name, settings) for name in sorted(AGGREGATES) for settings in SETTINGS.get(name, ({},))]


def answers(seed: int, count: int = 120) -> list[Graded]:
    """Right or wrong, yes or no, boxes: whatever aggregates ask for, in every column they may look into."""
    random, found = np.random.default_rng(seed), []
    for at in range(count):
        right = ("yes", "no")[int(random.integers(2))]
        said = right if random.random() < 0.7 else ("no", "yes", "other")[int(random.integers(3))]
        kinds = {
            "category": ("OCR", "color", "code_reasoning")[at // 4 % 3],
            "l2-category": "de"[at // 4 % 2],
            "split": "xy"[at % 2],
        }
        kinds |= {
            "type": "abc"[at % 3],
            "question_type": "abc"[at % 3],
            "task": ("food", "codeu", "count")[at % 3],
            "data_source": ("ios", "macos")[at // 2 % 2],
            "data_type": ("text", "icon")[at % 2],
        }
        sets = {"set_id": at // 8, "figure_id": at // 2 % 4, "question_id": at % 2, "picture": at // 2}
        parts = {"right": right, "said": said, "iou": float(random.random()), "label": said}
        parts |= {"mark": float(random.integers(-2, 3)), "pair": random.integers(1, 11, 2).tolist()}
        parts |= {"exact_match": [float(said == right)] * 2, "jaccard": [float(random.random())] * 2}
        verdict = Verdict(float(said == right), said, parts=parts)
        found.append(Graded(str(at), said, verdict, Reference((right,), fields=kinds | sets)))
    return found


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_figures_and_their_intervals(name: str, settings: dict[str, Any]) -> None:
    make: Callable[..., Aggregate] = AGGREGATES[name]
    figures, one, two = make(**settings), answers(1), answers(2)
    told = figures(one)
    assert OVERALL in told and all(isinstance(value, float | int) for value in told.values())
    if isinstance(figures, RatioAggregate):
        ratios = figures.ratios(one)
        assert {n: r.value for n, r in ratios.items()} == pytest.approx(
            {n: told[n] for n in ratios}, nan_ok=True
        )
    found = interval_of(one, figures, draws=40)
    for figure, value in told.items():
        low, high = found[figure]
        if not math.isnan(low):
            assert low - 1e-9 <= value <= high + 1e-9, figure
    low, high = found[OVERALL]
    assert low < told[OVERALL] < high
    changed = differences_of(one, two, figures, draws=40)[OVERALL]
    assert changed.difference == pytest.approx(figures(two)[OVERALL] - told[OVERALL])
    assert changed.low < changed.difference < changed.high and 0 < changed.p <= 1
