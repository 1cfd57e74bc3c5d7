"""F1 of right and wrong steps, against an oracle that goes by definition; and the threshold."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tessera.scoring.step_verdicts import ScoredStep, StepCounts, best_threshold, count_steps


def slowly(steps: Sequence[ScoredStep], threshold: float, wanted: bool) -> float:
    """F1 of finding the wanted steps, by precision and recall."""
    found = [is_right for is_right, score in steps if (score > threshold) == wanted]
    meant = [score > threshold for is_right, score in steps if is_right == wanted]
    precision = sum(is_right == wanted for is_right in found) / len(found) if found else 0.0
    recall = sum(taken == wanted for taken in meant) / len(meant) if meant else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def steps(labels: str, *scores: float) -> list[ScoredStep]:
    return [(label == "+", score) for label, score in zip(labels, scores, strict=True)]


TABLE: list[tuple[str, list[ScoredStep], float, float]] = [
    ("all found", steps("++--", 0.9, 0.8, 0.2, 0.1), 1.0, 1.0),
    ("all mistaken", steps("++--", 0.1, 0.2, 0.8, 0.9), 0.0, 0.0),
    ("all positive and taken for it", steps("+++", 0.9, 0.8, 0.7), 1.0, 0.0),
    ("all positive, one refused", steps("+++", 0.9, 0.8, 0.2), 0.8, 0.0),
    ("no positive", steps("--", 0.1, 0.2), 0.0, 1.0),
    ("all negative, none found", steps("--", 0.9, 0.8), 0.0, 0.0),
    ("a tie with the threshold is wrong", steps("+-", 0.5, 0.5), 0.0, 2 / 3),
    ("half", steps("+-+-", 0.9, 0.9, 0.1, 0.1), 0.5, 0.5),
    ("hard scores", steps("+-", 0.0, -100.0), 0.0, 2 / 3),
    ("empty", [], 0.0, 0.0),
]


@pytest.mark.parametrize(("name", "given", "right", "wrong"), TABLE, ids=[row[0] for row in TABLE])
def test_f1_of_both(name: str, given: list[ScoredStep], right: float, wrong: float) -> None:
    counts = count_steps(given, 0.5)
    assert (counts.f1_right, counts.f1_wrong) == pytest.approx((right, wrong))
    assert counts.macro_f1 == pytest.approx((right + wrong) / 2)
    assert counts.f1_right == pytest.approx(slowly(given, 0.5, True))
    assert counts.f1_wrong == pytest.approx(slowly(given, 0.5, False))
    assert counts.steps == len(given) and counts.wrong == sum(not is_right for is_right, _ in given)


def drawn(rng: random.Random) -> list[ScoredStep]:
    """Some steps with few different scores, so that ties are common."""
    return [(rng.random() < 0.7, rng.randrange(1, 6) / 6) for _ in range(rng.randrange(1, 12))]


def test_the_best_threshold_is_the_best_of_all() -> None:
    rng = random.Random(3)
    for _ in range(300):
        given = drawn(rng)
        every = [n / 240 - 1 for n in range(480)]
        best = max((slowly(given, t, True) + slowly(given, t, False)) / 2 for t in every)
        assert count_steps(given, best_threshold(given)).macro_f1 == pytest.approx(best), given


def test_of_equal_thresholds_the_nearest_to_the_middle() -> None:
    assert best_threshold(steps("-+", 0.2, 0.9)) == pytest.approx(0.55)
    assert best_threshold(steps("++", 0.6, 0.9)) == pytest.approx(0.3), "everything is right"
    assert best_threshold(steps("--", 0.2, 0.5)) == 0.5, "everything is wrong"
    assert best_threshold(steps("-+", -100.0, 0.0)) == -50.0
    assert StepCounts().macro_f1 == 0.0
    with pytest.raises(ValueError, match="none is labelled right or wrong"):
        best_threshold([])
