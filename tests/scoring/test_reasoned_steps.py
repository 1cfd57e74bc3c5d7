"""Steps are split at blank lines and held against a known solution."""

from __future__ import annotations

import pytest

from tessera.scoring.reasoned.steps import grade_reasoned, judge_steps, split_steps

KNOWN = "red 4, blue 7, green 2.\n\n4 + 7 = 11.\n\n11 - 2 = 9.\n\nFinal answer: 9"


@pytest.mark.parametrize(
    ("response", "right"),
    [
        (KNOWN, (True, True, True, True)),
        (KNOWN.replace("4 + 7", "7 + 4"), (True, True, True, True)),
        (KNOWN.replace("red 4, blue 7", "blue 7, red 4"), (True, True, True, True)),
        (KNOWN.replace("11 - 2", "2 - 11"), (True, True, False, True)),
        (KNOWN.replace("blue 7", "blue 8"), (False, True, True, True)),
        (KNOWN.replace("= 11.", "= 12."), (True, False, True, True)),
        (KNOWN.replace("answer: 9", "answer: 8"), (True, True, True, False)),
        ("red 4.\n\n11 - 2 = 9.\n\nFinal answer: 9", (True, True, True)),
        ("14 + 7 = 11.\n\nFinal answer: 9", (False, True)),
        ("nine\n \n\n\nfinal answer: 9.", (False, True)),
        ("", ()),
    ],
)
def test_each_step_is_judged_alone(response: str, right: tuple[bool, ...]) -> None:
    assert judge_steps(KNOWN, response) == right
    assert len(split_steps(response)) == len(right)


@pytest.mark.parametrize(
    ("response", "right"),
    [
        (KNOWN, True),
        ("so.\n\nFinal answer: 9.", True),
        ("so.\n\nFinal answer: 99", False),
        ("Final answer: 9", False),
        ("it is 9\n\n9", False),
        ("", False),
    ],
)
def test_an_answer_counts_when_it_is_announced(response: str, right: bool) -> None:
    assert grade_reasoned("9", response) is right
