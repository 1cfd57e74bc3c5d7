"""Mantis-Eval: InternVL's rule for answers with and without options."""

import pytest

from tessera.scoring.registry import scorer
from tessera.scoring.verdict import Reference

OPTIONS = {"A": "a cat", "B": "(B) two dogs", "C": ""}


@pytest.mark.parametrize(
    ("prediction", "answer", "right"),
    [
        ("A", "A", True),
        ("(A)", "A", True),
        ("(A)", "(A)", True),
        ("a", "A", False),
        ("A.", "A", False),
        ("(A) a cat", "A", True),
        ("a cat", "A", False),
        ("(B) two dogs", "B", True),
        ("two dogs", "B", False),
        ("(B) two dogs ", "B", False),
        ("(C) ", "C", True),
        ("B", "A", False),
        ("", "A", False),
        ("(A", "A", False),
        ("[A]", "A", False),
        ("A\n", "A", False),
        ("答案A", "A", False),
    ],
)
def test_a_letter_or_the_whole_option(prediction: str, answer: str, right: bool) -> None:
    assert scorer("mantis", {})(prediction, Reference((answer,), OPTIONS)).score == right


@pytest.mark.parametrize(
    ("prediction", "right"), [("Two", True), ("two", True), ("two.", False), (" two", False), ("", False)]
)
def test_without_options_case_alone_does_not_count(prediction: str, right: bool) -> None:
    assert scorer("mantis", {})(prediction, Reference(("TWO",))).score == right
