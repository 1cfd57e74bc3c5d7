"""MMMU's open answers: what is said, and whether the right answer is among it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.choices.open_answers import is_right, normalised, said_in
from tessera.scoring.choices.scorers import mmmu_scorer
from tessera.scoring.verdict import Reference

NORMAL = [
    ("5", [5.0]), (" 5 ", [5.0]), ("1,234.567", [1234.57]), ("1e3", [1000.0]), ("-0.5", [-0.5]),
    ("2.345", [2.35]), (".5", [0.5]), ("Red", ["red"]), ("X", [" x", "x "]), ("", [""]), ("5%", ["5%"]),
    ("$3", ["$3"]), ("1_0", [10.0]), ("１２", [12.0]), ("  Two words ", ["two words"]),
    ("甲", [" 甲", "甲 "]), ("inf", [float("inf")]), ("1,2", [12.0]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "values"), NORMAL)
def test_normal_forms(text: str, values: list[object]) -> None:
    assert normalised(text) == values


RIGHT = [
    ("5", "5", True), ("5.0", "5", True), ("5.004", "5", True), ("5.006", "5", False),
    ("The answer is 5.", "5", True), ("It is 5 cm", "5", True), ("1,234 people", "1234", True),
    ("1234", "1,234", True), ("so x = 7", "7", True), ("x = 7\nand more", "7", True),
    ("x: 7\ny: 8", "8", True), ("3 and 4 are there", "4", True), ("red car", "red", True),
    ("Red", "RED", True), ("the colour is blue", "red", False), ("infrared", "red", True), ("x", "x", True),
    ("is x", "x", True), ("a x b", "x", True), ("-5", "5", False), ("minus 5", "5", True),
    ("5", "-5", False), ("2.5e3", "2500", True), ("2500", "2.5e3", True), ("50%", "50", True),
    ("50", "50%", False), ("50%", "50%", True), ("", "5", False), ("nan", "nan", False),
    ("about 12,345.6 in all", "12345.6", False), ("about 12,345 m", "12345", True),
    ("the result is A so B is final C", "b is", False), ("the result is A so B is final cc", "cc", True),
    ("is .", "5", False), ("therefore the two\nso three", "two", True), ("答案是 42", "42", True),
    ("=", "", True), ("1.234 and 5", "1.23", True), ("1.234 and 5", "1.24", False), ("(5)", "5", True),
    ("5,", "5", True),
]  # fmt: skip


@pytest.mark.parametrize(("said", "answer", "right"), RIGHT)
def test_right_answers(said: str, answer: str, right: bool) -> None:
    assert is_right(said_in(said), [answer]) is right
    assert mmmu_scorer()(said, Reference((answer,))).score == float(right)
    assert is_right(said_in(said), ["something else entirely", answer]) is right


TWO_CHOICES = [
    ("5", "5", 1), ("It is 5", "5", 1), ("A", "5", 1), ("B", "5", 0), ("6", "5", 0),
    ("Other Answers", "5", 0), ("5 and other answers", "5", 0), ("(A)", "red", 1), ("Red", "red", 1),
    ("C", "C", 0), ("", "red", 0), ("the answer is b", "red", 0),
]  # fmt: skip


@pytest.mark.parametrize(("said", "answer", "score"), TWO_CHOICES)
def test_an_open_question_as_two_choices(said: str, answer: str, score: int) -> None:
    assert mmmu_scorer("vlmevalkit")(said, Reference((answer,))).score == score


def test_a_question_without_its_first_option_is_open_to_that_kit() -> None:
    """pandas reads an option that is None as missing."""
    score = mmmu_scorer("vlmevalkit")
    asked = Reference(("C",), {"B": "two", "C": "three"})
    assert [score(said, asked).score for said in ("C", "three", "B", "other answers")] == [1, 1, 0, 0]


@given(st.text(max_size=60), st.integers(-(10**6), 10**6))
def test_a_number_that_is_the_answer_is_found_behind_the_key_word(text: str, number: int) -> None:
    line = " ".join(text.split()).replace("=", "").lower()
    assert is_right(said_in(f"{line}\nthe answer is {number}"), [str(number)])


def test_long_answers_end_at_once() -> None:
    """The published expressions take minutes for a long number."""
    assert is_right(said_in("7" * 20_000 + "\nso 5"), ["5"])
    assert not is_right(said_in("1." * 20_000), ["5"])
