"""Grading: final values, boxes, and steps apart from the final value."""

from __future__ import annotations

import pytest

from tessera.scoring.exact import box_score, exact_match, grade, grade_steps, steps_hold, steps_of


def test_exact_match_ignores_case_space_and_articles() -> None:
    assert exact_match("red circle", " The red  circle.")
    assert not exact_match("red circle", "red")


@pytest.mark.parametrize(
    ("final", "prediction", "right"),
    [
        ("3", "2 red, 1 blue, 2 + 1 = 3", True),
        ("3", "3", True),
        ("3", "3.", True),
        ("3", "1 + 1 = 2", False),
        ("3", "3 + 1 = 4", False),
        ("3", "2 + 1 = 3 things", True),
        ("3", "13", False),
        ("yes", "9 + 11 = 20, yes", True),
        ("yes", "yes no", False),
        ("red", "red or blue", False),
        ("red, blue", "red, blue", True),
        ("red, blue", "blue, red", False),
        ("3", "", False),
    ],
)
def test_grade(final: str, prediction: str, right: bool) -> None:
    assert grade(final, prediction) is right


def test_boxes_are_graded_by_overlap() -> None:
    final = "[[100, 100, 300, 300]]"
    assert grade(final, "<ref>red circle</ref><box>[[110, 110, 310, 310]]</box>", "box")
    assert not grade(final, "<box>[[400, 400, 600, 600]]</box>", "box")
    assert not grade(final, "at the top left", "box")
    assert box_score(final, final) == pytest.approx(1)
    with pytest.raises(ValueError, match="final"):
        box_score("red", final)


def test_steps() -> None:
    assert steps_of("red 2, blue 1, 2 + 1 = 3") == [(2, "+", 1, 3)]
    assert steps_hold("2 + 1 = 3, 3 - 1 = 2") and not steps_hold("2 + 1 = 4") and not steps_hold("3")


@pytest.mark.parametrize(
    ("prediction", "right"),
    [
        ("red 2, blue 1, 2 + 1 = 3", True),
        ("1 + 2 = 3", True),
        ("3 + 0 = 3", False),
        ("2 + 1 = 4", False),
        ("3", False),
        ("2 + 1 = 3, 3 + 0 = 3", False),
    ],
)
def test_grade_steps(prediction: str, right: bool) -> None:
    assert grade_steps("red 2, blue 1, 2 + 1 = 3", prediction) is right


def test_a_difference_is_not_symmetric_and_steps_are_needed() -> None:
    assert not grade_steps("3 - 2 = 1", "2 - 3 = -1")
    with pytest.raises(ValueError, match="answer"):
        grade_steps("red", "red")
