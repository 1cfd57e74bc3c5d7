"""Where the answer of a response stands, and why a response has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.reasoned.extraction import VERSIONS, BadFormat, FinalAnswer, extract_answer, last_box

LONG = "There are two red and three blue circles."
THOUGHT = f"<think>{LONG}</think>\n"

ANSWERS = [
    ("en", "Two and three.\n\nFinal answer: 5", "5"),
    ("en", "Two and three.\n\nFinal Answer: 5", "5"),
    ("en", "Two and three.\n\n**Final answer: 5**", "5**"),
    ("en", "Two.\nFinal answer: 4\nNo, wait.\nFinal answer: 5", "5"),
    ("en", "Two.\n\nFinal answer:\n5\n", "5"),
    ("en", "Two.\n\nFinal answer:", ""),
    ("en", "一\n二\n答案: 五", "五"),
    ("zh", "两个和三个。\n\n答案: 5", "5"),
    ("zh", "两个。\n\nFinal answer: 5", "5"),
    ("zh", "两个。\n答案: 4\nFinal answer: 5", "5"),
    ("en_v2", LONG + r" Answer: \boxed{5}", "5"),
    ("en_v2", LONG + r" \boxed{4}, no: \boxed{5}", "5"),
    ("en_v2", LONG + r" \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
    ("en_v2", LONG + r" \boxed{}", ""),
    ("en_v2", LONG, LONG),
    ("en_v2", LONG + r" \boxed{5", LONG + r" \boxed{5"),
    ("zh_v2", LONG + r"答案：\boxed{红色}", "红色"),
    ("en_r1", THOUGHT + r"The answer is \boxed{5}.", "5"),
    ("zh_r1", THOUGHT + r"答案是 \boxed{五}。", "五"),
    ("en_r1", f"<think>\\boxed{{4}} {LONG}</think>\\boxed{{5}}", "5"),
]
FAULTS = [
    ("en", "5", "no final answer announced"),
    ("en", "Answer: 5\n\n", "no final answer announced"),
    ("en", "final answer: 5\n\n", "no final answer announced"),
    ("zh", "两个。\n\n答案：5", "no final answer announced"),
    ("en", "Final answer: 1\nFinal answer: 2\nFinal answer: 3", "announced more than 2 times"),
    ("en", "Two.\nFinal answer: 5", "fewer than 2 line breaks"),
    ("en", "\n\nFinal answer: 5", "nothing before the final answer"),
    ("en", "Two.\n\nFinal answer: 5\nor 6", "final answer of several lines"),
    ("en", "", "no final answer announced"),
    ("en_v2", r"\boxed{5}", "no more than 20 characters"),
    ("zh_v2", "x" * 20, "no more than 20 characters"),
    ("en_r1", LONG + r"\boxed{5}", "not one <think> and one </think>"),
    ("en_r1", THOUGHT + THOUGHT + r"\boxed{5}", "not one <think> and one </think>"),
    ("en_r1", "So. " + THOUGHT + r"\boxed{5}", "not <think>…</think> and then an answer"),
    ("en_r1", THOUGHT.strip(), "not <think>…</think> and then an answer"),
    ("en_r1", r"<think>short</think>\boxed{5}", "thinking of no more than 20 characters"),
    ("en_r1", THOUGHT + "5", "no box behind </think>"),
    ("zh_r1", THOUGHT + r"\boxed{5", "no box behind </think>"),
]


@pytest.mark.parametrize(("version", "response", "answer"), ANSWERS)
def test_answer(version: str, response: str, answer: str) -> None:
    assert extract_answer(response, version) == FinalAnswer(answer)


@pytest.mark.parametrize(("version", "response", "why"), FAULTS)
def test_fault(version: str, response: str, why: str) -> None:
    found = extract_answer(response, version)
    assert isinstance(found, BadFormat) and why in found.why


def test_an_unknown_version() -> None:
    with pytest.raises(ValueError, match="prompt_version 'fr' is unknown; give one of en, zh, en_v2"):
        extract_answer(LONG, "fr")


@given(st.text(alphabet="ab{}\\ ", max_size=30), st.text(alphabet="ab ", max_size=10))
def test_a_box_gives_back_what_it_holds(before: str, inside: str) -> None:
    assert last_box(f"{before}\\boxed{{{inside}{{{inside}}}}}, done") == f"{inside}{{{inside}}}"


@given(
    st.text(alphabet="Final answer:\n答案<think></think>\\boxed{5}", max_size=80),
    st.sampled_from(sorted(VERSIONS)),
)
def test_any_response_has_an_answer_or_a_reason(response: str, version: str) -> None:
    found = extract_answer(response, version)
    match found:
        case FinalAnswer(answer):
            assert answer in response
        case BadFormat(why):
            assert why
