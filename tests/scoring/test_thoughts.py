"""Thought parts, boxes and labels around an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.thoughts import after_label, in_box, without_thought

THOUGHTS = [
    ("<think>a</think> B ", "B"), ("a</think>b</think>\nc", "c"), (" B ", " B "),
    ("<think>cut", "<think>cut"), ("x</think>", ""), ("", ""), ("</THINK> B", "</THINK> B"),
]  # fmt: skip
BOXES = [
    (r"\boxed{B}", "B"), (r"so \boxed{A} or \boxed{\frac{1}{2}}.", r"\frac{1}{2}"), ("B", "B"),
    (r"\boxed{B", r"\boxed{B"), (r"\boxed{}", ""), (r"\boxed{{a}}", "{a}"), (r"\boxed{a}}", "a"),
    (r"\boxed{a} \boxed{b", r"\boxed{a} \boxed{b"),
]  # fmt: skip
LABELS = [
    ("Answer: B", "B"), ("so\nFinal answer: C\nend", "C"), ("ANSWER:\n D", "D"), (" none ", "none"),
    ("Answer:", ""), ("Final answer: A. Answer: B", "A. Answer: B"), ("answer is B", "answer is B"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "left"), THOUGHTS)
def test_thoughts(text: str, left: str) -> None:
    assert without_thought(text) == left


@pytest.mark.parametrize(("text", "inside"), BOXES)
def test_boxes(text: str, inside: str) -> None:
    assert in_box(text) == inside


@pytest.mark.parametrize(("text", "behind"), LABELS)
def test_labels(text: str, behind: str) -> None:
    assert after_label(text) == behind


@given(st.text(st.sampled_from("ab \n\\{}"), max_size=30))
def test_what_is_put_around_an_answer_is_taken_off_again(text: str) -> None:
    assert without_thought(f"<think>x</think>{text}") == text.strip()
    if "{" not in text and "}" not in text:
        assert in_box(f"so \\boxed{{{text}}}") == text
