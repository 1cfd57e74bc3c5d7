"""Labelled solutions: neutral steps are left out, a part tunes the threshold and is not measured."""

from __future__ import annotations

import pytest

from tessera.align.critics.benchmark import LabelledSolution, evaluate_steps
from tessera.scoring.step_verdicts import StepCounts


def solution(line: int, source: str, *steps: tuple[int, float]) -> LabelledSolution:
    labels, scores = zip(*steps, strict=True)
    return LabelledSolution.of(line, source, labels, scores)


SOLUTIONS = [
    solution(1, "a", (1, 0.9), (0, 0.1), (-1, 0.2)),
    solution(2, "a", (1, 0.4), (-1, 0.8)),
    solution(3, "b", (0, 0.9), (0, 0.2)),
    solution(4, "c", (-1, 0.5)),
]


def test_sources_and_all_steps() -> None:
    found = evaluate_steps(SOLUTIONS, 0.5)
    assert found.sources == {"a": StepCounts(1, 1, 1, 1), "b": StepCounts(), "c": StepCounts(0, 0, 0, 1)}
    assert found.pooled == StepCounts(1, 1, 1, 2) and found.neutral == 3
    assert found.as_json()["all"]["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert evaluate_steps(SOLUTIONS, 0.45).sources["c"] == StepCounts(0, 0, 1, 0), "just above"


def test_a_source_or_a_share_tunes() -> None:
    found = evaluate_steps(SOLUTIONS, 9.0, tune="a")
    assert found.tuned_on == (1, 2) and set(found.sources) == {"b", "c"}
    # Of the four scores of a, 0.85 (three of four) does best with 0.3: the nearer to the middle counts.
    assert found.threshold == pytest.approx(0.3) and found.pooled == StepCounts(0, 0, 1, 0)
    many = [solution(n, "x", (1, 0.9), (-1, 0.1)) for n in range(20)]
    shared = evaluate_steps(many, 9.0, tune="0.25", seed=3)
    assert len(shared.tuned_on) == 5 and shared.pooled == StepCounts(15, 0, 0, 15)
    assert shared.threshold == pytest.approx(0.5) and "share 0.25, seed 3" in shared.how
    assert evaluate_steps(many, 9.0, tune="0.25", seed=3) == shared
    assert evaluate_steps(many, 9.0, tune="0.25", seed=4).tuned_on != shared.tuned_on


def test_nothing_to_measure_is_an_error() -> None:
    for solutions, tune in (([], None), ([], "0.5"), (SOLUTIONS[2:3], None), (SOLUTIONS[:1], "a")):
        with pytest.raises(ValueError, match="no step is labelled|none is labelled"):
            evaluate_steps(solutions, 0.5, tune)
    for tune, why in (("d", "no source is called so; give a share or a, b, c"), ("0", "between 0 and 1")):
        with pytest.raises(ValueError, match=why):
            evaluate_steps(SOLUTIONS, 0.5, tune)
