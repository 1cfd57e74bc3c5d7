"""Recall at k and figures of classes against slow definitions."""

from __future__ import annotations

import random

import pytest

from tessera.scoring.ranking.classes import class_figures
from tessera.scoring.ranking.recall import recall_at


def test_a_query_counts_when_any_positive_is_among_the_best() -> None:
    found = [[3, 1, 2], [0, 2, 1], [5, 4, 3]]
    recall = recall_at(found, [{1, 9}, {0}, {7}], (1, 2, 3))
    assert recall.at == pytest.approx({1: 100 / 3, 2: 200 / 3, 3: 200 / 3})
    assert recall.mean == pytest.approx(500 / 9)
    with pytest.raises(ValueError, match="query 1 has nothing"):
        recall_at([[1]], [set()])
    with pytest.raises(ValueError, match="none given"):
        recall_at([], [])


def test_recall_of_drawn_rankings() -> None:
    drawn = random.Random(0)
    found = [drawn.sample(range(30), 10) for _ in range(200)]
    right = [set(drawn.sample(range(30), drawn.randint(1, 5))) for _ in range(200)]
    recall = recall_at(found, right)
    for k, value in recall.at.items():
        assert value == pytest.approx(sum(bool({*f[:k]} & r) for f, r in zip(found, right, strict=True)) / 2)


def test_figures_of_classes() -> None:
    """Class 2 never occurs: the mean of recalls leaves it out, as balanced accuracy does."""
    truths = [0, 0, 0, 1, 4, 4]
    guesses = [[0, 1, 2, 3, 4], [1, 0, 2, 3, 4], [1, 5, 2, 3, 4], [1], [0, 4], [4]]
    figures = class_figures(truths, guesses, 6)
    assert figures.acc1 == pytest.approx(50.0)
    assert figures.acc5 == pytest.approx(500 / 6)
    assert figures.per_class == {0: (3, 1), 1: (1, 1), 4: (2, 1)}
    assert figures.mean_per_class_recall == pytest.approx(100 * (1 / 3 + 1 + 1 / 2) / 3)
    assert figures.confused == {0: (1, 2), 4: (0, 1)}
    assert class_figures([0], [[0]], 4).acc5 is None
    with pytest.raises(ValueError, match="none given"):
        class_figures([], [], 3)
