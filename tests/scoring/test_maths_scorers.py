"""Mathematical answers without a judge: MathVista, MathVision, MathVerse and OlympiadBench."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.maths.figures import mathvista_figures
from tessera.scoring.maths.letters_or_values import mathverse_scorer, mathvision_scorer
from tessera.scoring.maths.mathvista import mathvista_scorer
from tessera.scoring.maths.olympiad import olympiadbench_scorer, prepared, same_answers, tolerances
from tessera.scoring.maths.values import python_value, same_value
from tessera.scoring.verdict import OVERALL, Graded, Reference, Verdict

CHOICES = {"A": "3/11", "B": "8/11", "C": "6/11", "D": "red"}


def choice(answer: str) -> Reference:
    fields = {"question_type": "multi_choice", "answer_type": "text", "precision": None}
    return Reference((answer,), CHOICES, fields=fields)


def free(answer: str, kind: str, precision: object = None) -> Reference:
    fields = {"question_type": "free_form", "answer_type": kind, "precision": precision}
    return Reference((answer,), fields=fields)


CHOSEN = [  # reply, what official, lmms-eval (texts) and VLMEvalKit (letter) take
    ("8/11", "8/11", "8/11", "B"), ("B", "8/11", "8/11", "B"), ("(b)", "8/11", "8/11", None),
    ("(C) 6/11", "6/11", "6/11", "C"), ("Answer: C", "6/11", "red", "C"),
    ("Final answer: (A)", "3/11", "3/11", "A"), ("A.", "red", "red", "A"),
    ("the colour is red", "red", "red", "D"), ("E", "red", "red", None), ("", "red", "red", None),
    ("Red", "red", "red", "D"), ('The answer is "red".', "red", "red", "D"),
    ("10/11", "3/11", "3/11", None), (" D ", "red", "red", "D"), ("(D) is not (A)", "red", "red", None),
    ("answer:\nB", "8/11", "red", "B"), ("8/11 and 6/11", "8/11", "8/11", None),
]  # fmt: skip


@pytest.mark.parametrize(("said", "official", "lmms", "letter"), CHOSEN)
def test_mathvista_chooses(said: str, official: str, lmms: str, letter: str | None) -> None:
    assert mathvista_scorer()(said, choice("3/11")).extracted == official
    assert mathvista_scorer()(said, choice(official)).score == 1
    assert mathvista_scorer("lmms-eval")(said, choice("3/11")).extracted == lmms
    found = mathvista_scorer("vlmevalkit")(said, choice("8/11"))
    assert (found.extracted, found.score) == (letter, float(letter == "B"))
    assert ("unsure" in found.parts) is (letter is None)


def test_mathvista_takes_the_letter_that_the_data_name() -> None:
    fields = {"question_type": "multi_choice", "answer_type": "text", "answer_option": "C"}
    twice = Reference(("5",), {"A": "5", "B": "6", "C": "5"}, fields=fields)
    kit = mathvista_scorer("vlmevalkit")
    assert [kit(said, twice).score for said in ("A", "B", "C", "5")] == [0, 0, 1, 0]


NUMBERS = [  # reply, answer, type, precision, official, lmms-eval, VLMEvalKit
    ("12", "12", "integer", None, 1, 1, 1), (" 12 ", "12", "integer", None, 1, 1, 1),
    ("12.0", "12", "integer", None, 1, 1, 0), ("12.9", "12", "integer", None, 1, 1, 0),
    ("twelve", "12", "integer", None, 0, 0, 0), ("Answer: 12", "12", "integer", None, 1, 0, 0),
    ("It is 12", "12", "integer", None, 0, 0, 0), ("answer:12", "12", "integer", None, 1, 0, 0),
    ("-7", "-7", "integer", None, 1, 1, 1), ("1e3", "1000", "integer", None, 1, 1, 0),
    ("inf", "12", "integer", None, 0, 0, 0), ("nan", "12", "integer", None, 0, 0, 0),
    ("1,000", "1000", "integer", None, 0, 0, 0), ("1.25", "1.2", "float", 1, 1, 1, 0),
    ("1.2", "1.2", "float", 1, 1, 1, 1), ("1.25", "1.2", "float", 1.0, 1, 0, 0),
    ("1.2", "1.20", "float", 2, 0, 0, 1), ("1.2", "1.2", "float", None, 0, 0, 1),
    ("Final answer: 1.234", "1.23", "float", 2.0, 1, 0, 0), ("1.23%", "1.23", "float", 2, 0, 0, 0),
    ("3", "3.0", "float", 1, 1, 1, 1), ('The answer is "12".', "12", "integer", None, 0, 1, 0),
    ("[1, 2]", "[1, 2]", "list", None, 1, 1, 0), ("[1,2]", "[1, 2]", "list", None, 0, 0, 0),
    ("Answer: [1, 2]", "[1, 2]", "list", None, 1, 0, 0), ("", "0", "integer", None, 0, 0, 0),
    ("0", "0", "integer", None, 1, 1, 1), ("x", "None", "list", None, 0, 0, 1),
]  # fmt: skip


@pytest.mark.parametrize(("said", "answer", "kind", "precision", "official", "lmms", "kit"), NUMBERS)
def test_mathvista_rounds(
    said: str, answer: str, kind: str, precision: object, official: int, lmms: int, kit: int
) -> None:
    asked = free(answer, kind, precision)
    assert mathvista_scorer()(said, asked).score == official
    assert mathvista_scorer("lmms-eval")(said, asked).score == lmms
    assert mathvista_scorer("vlmevalkit")(said, asked).score == kit


def test_what_only_a_judge_would_know_is_marked() -> None:
    assert mathvista_scorer()("It is 12", free("12", "integer")).parts == {"unsure": True}
    assert mathvista_scorer()("12", free("12", "integer")).parts == {}
    assert mathvista_scorer("vlmevalkit")("It is 12", free("12", "integer")).parts == {"unsure": True}
    with pytest.raises(ValueError, match="needs an answer and columns `question_type` and `answer_type`"):
        mathvista_scorer()("12", Reference(("12",)))
    with pytest.raises(ValueError, match="rules is 'best': give one of official, vlmevalkit, lmms-eval"):
        mathvista_scorer("best")


def test_mathvistas_figures_by_nested_columns_and_several_values() -> None:
    rows = [
        (1.0, {"metadata": {"task": "geometry", "skills": ["algebra", "logic"]}}),
        (0.0, {"metadata": "{'task': 'geometry', 'skills': ['logic']}", "category": "general"}),
        (1.0, {"task": "charts", "skills": "['logic']"}),
        (1.0, {"skills": "[broken", "metadata": "{"}),
    ]
    graded = [Graded("1", "", Verdict(score), Reference((), fields=fields)) for score, fields in rows]
    found = mathvista_figures()(graded)
    assert found == {OVERALL: 75, "task=geometry": 50, "task=charts": 100, "category=general": 0} | {
        "skills=algebra": 100, "skills=logic": pytest.approx(200 / 3), "skills=[broken": 100,
    }  # fmt: skip
    assert mathvista_figures("task")(graded).keys() == {OVERALL, "task=geometry", "task=charts"}


VALUES = [
    ("1", "1.0", 1), ("1/2", "0.5", 1), (r"\frac{1}{2}", "0.5", 1), (r"\frac{1}{2}", "1/2", 1),
    ("2**3", "8", 1), ("2^{3}", "8", 1), ("X+1", "x+1", 1), ("x+1", "1+x", 0), (r"\sqrt{4}", "2", 0),
    (r"\pi", "3.141592653589793", 0), ("$5$", "5", 1), ("5.", "5", 1), ("5 cm", "5", 0),
    ("1,234", "1234", 1), (r"50^\circ", "50", 1), ("", "", 1), ("", "0", 0), ("a", "7", 1),
    ("A", "seven", 0), ("0.333333", "1/3", 1), ("0.33333", "1/3", 0), (r"3\frac{1}{2}", "3.5", 1),
    (r"2\cdot 3", "6", 1), (r"2\times3", "6", 1), ("(2)", "2", 1), ("-(-2)", "2", 1), ("7//2", "3", 1),
    ("7%4", "3", 1), ("9**9**9", "1", 0), ("1/0", "0", 0), ("(1,2)", "(1, 2)", 0), ("B", "b", 1),
    ("2^3", "1", 1), ("0x10", "16", 1), ("1e3", "1000", 1), ("two", "2", 0), ("__import__('os')", "0", 0),
]  # fmt: skip


@pytest.mark.parametrize(("said", "right", "same"), VALUES)
def test_equal_by_value(said: str, right: str, same: int) -> None:
    assert same_value(said, right) is bool(same)
    assert mathvision_scorer()(said, Reference((right,))).score == same


STANDARD = [  # reply, answer, what is found, right
    ("B", "B", "b", 1), ("The answer is (B).", "B", "b", 1), ("B\n8/11 of it", "B", "b", 1),
    ("so 8/11", "B", r"so8/11", 0), ("the answer is 8/11. Then", "B", r"\frac{8}{11}", 1),
    (r"\boxed{8/11}", "B", r"\frac{8}{11}", 1), ("x = 5", "5", "5", 1),
    (r"\boxed{3} or \boxed{4}", "4", "4", 1), (r"\boxed{\frac{1}{2}}", "0.5", r"\frac{1}{2}", 1),
    ("it is 12.50", "12.5", "12.50", 1), ("12.504", "12.5", "12.504", 1), ("12.506", "12.5", "12.506", 0),
    ("5km", "5", "5", 1), ("5 units", "5", "5", 1), ("50%", "50", "50%", 0), (r"50\%", "50", "50", 1),
    ("(1, 2)", "(1,2.0)", "(1,2)", 1), ("[1,2]", "(1,2)", "[1,2]", 0),
    (r"\sqrt2", r"\sqrt{2}", r"\sqrt{2}", 1), (r"\sqrt{4}", "2", r"\sqrt{4}", 1), ("", "0", "", 0),
    ("X+1", "x+1", "x+1", 1), (r"30^\circ", "30", "30", 1), ("a} b", "a", "a", 1),
    ("The answer is: 7\nok", "7", "7", 1), (r"about \approx 3.14159", r"3.14", "3.14159", 1),
    ("$7$", "7", "7", 1), (".5", "0.5", r"\frac{1}{2}", 1),
]  # fmt: skip


@pytest.mark.parametrize(("said", "answer", "found", "right"), STANDARD)
def test_mathvisions_own_rule(said: str, answer: str, found: str, right: int) -> None:
    verdict = mathvision_scorer("lmms-eval")(said, Reference((answer,), CHOICES if answer == "B" else {}))
    assert (verdict.extracted, verdict.score) == (found, right)


def test_mathvision_and_mathverse_by_letters() -> None:
    asked = Reference(("B",), CHOICES)
    assert mathvision_scorer()("The answer is B", asked).score == 1
    assert mathvision_scorer()("8/11", asked).score == 1
    assert mathvision_scorer()("no idea", asked).parts == {"unsure": True}
    assert mathvision_scorer()(r"so \boxed{\frac{1}{2}}", Reference(("0.5",))).score == 1
    assert mathverse_scorer()("B", Reference(("B",))).parts == {}
    announced = mathverse_scorer()("Since x is 2, Answer: B", Reference(("B",)))
    assert (announced.score, announced.extracted) == (1, "B")
    assert mathverse_scorer()(" 22.3 ", Reference(("22.3",))).why == "the same text"
    assert mathverse_scorer()("Answer: 22.30", Reference(("22.3",))).parts == {"unsure": True}


SAME = [
    ("1,2", "2,1", 1), ("1", "1,1", 0), (r"\boxed{1},\boxed{2}", "2, 1", 1), (r"\pm 2", "2,-2", 1),
    ("2,-2", r"\pm 2", 1), ("x=2", "2", 1), ("$2$", "2", 1), ("so it is $2$ and $3$", "3,2", 1),
    ("first $1$\nthen $2$", "2", 1), (r"\frac{1}{2}", "0.5", 1), (r"\sqrt{8}", r"2\sqrt{2}", 1),
    ("1.41421356", r"\sqrt{2}", 1), ("1.4142", r"\sqrt{2}", 0), ("x+1", "1+x", 1), ("2(x+1)", "2x+2", 1),
    ("y=x+1", "y-x=1", 1), ("2y=2x+2", "y=x+1", 1), ("(0,1)", "(0, 1)", 1), ("(0,1)", "[0,1]", 0),
    ("(0,1)", "(1,0)", 0), (r"(0,\frac{1}{2})", "(0,0.5)", 1), (r"x \in (0,1)", "(0,1)", 1),
    (r"(0,1)\cup(2,3)", r"(0,1)\cup(2,3.0)", 1), ("50", "0.5", 1), ("50", "5000", 1), ("50", "500", 0),
    (r"50^\circ", "50", 1), ("能", "能", 1), ("能", "不能", 1), ("n=3", "3", 1), (r"\approx 3", "3", 1),
    (r"5 \mathrm{cm}", r"5 cm", 1), (r"\boxed{3", "3", 0), ("", "3", 0), ("1024", "2^{10}", 1),
    ("10^{5}", "100000", 1), ("3.14", r"\pi", 0), ("e^{2}", "7.389056", 0),
    (r"\left(0,1\right)", "(0,1)", 1), ("a,b", "b,a", 1), ("a,b", "a", 0),
]  # fmt: skip


@pytest.mark.parametrize(("said", "right", "same"), SAME)
def test_parts_pair_off(said: str, right: str, same: int) -> None:
    assert same_answers(said, right) is bool(same)


WRITTEN = [  # reply, answer, same in VLMEvalKit, same to the organisers
    (r"\dfrac{1}{2}", r"\frac{1}{2}", 1, 1), (r"\frac12", r"\frac{1}{2}", 1, 1),
    ("a/b", r"\frac{a}{b}", 1, 1), (r"2\cdot x", "2x", 1, 1),
    (r"2\times 3", r"2\cdot 3", 1, 1), ("x^2", "x^{2}", 1, 1), ("(x)", "x", 1, 1),
    (r"2\pi", r"2 \pi", 1, 1), ("x=5", "5", 1, 1), ("0.50", "0.5", 1, 1), ("x+1", "1+x", 0, 1),
    (r"\sqrt{4}", "2", 0, 1), (r"\frac{2}{4}", r"\frac{1}{2}", 0, 1), (r"\frac{1}{2}", "0.5", 0, 1),
    ("3+2", "5", 0, 1), ("6", "5", 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("said", "right", "kit", "official"), WRITTEN)
def test_olympiads_expressions_are_written_alike_or_equal(
    said: str, right: str, kit: int, official: int
) -> None:
    asked = Reference((right,), fields={"source": "OE_TO_maths_en_COMP"})
    assert olympiadbench_scorer()(said, asked).score == kit
    assert olympiadbench_scorer("official")(said, asked).score == official


def test_olympiads_tolerances_and_announcements() -> None:
    asked = Reference(("['1.41']",), fields={"source": "OE_TO_maths_en_COMP", "error": "1e-2"})
    assert olympiadbench_scorer()(r"So the final answer is \boxed{1.4142}", asked).score == 1
    assert olympiadbench_scorer()("So the final answer is 2\nSo the final answer is 1.42", asked).score == 1
    assert olympiadbench_scorer()("1.43", asked).score == 0
    chinese = Reference(("3",), fields={"source": "OE_TO_maths_zh_CEE", "error": float("nan")})
    assert olympiadbench_scorer()("所以最终答案是$3$.", chinese).extracted == "$3$."
    assert olympiadbench_scorer()("So the final answer is 2\n$3$", chinese).score == 1
    assert tolerances("1e-1,,2") == [0.1, 1e-8, 2.0] and tolerances(None) == [1e-8]
    with pytest.raises(ValueError, match="error: 'some' is no tolerance"):
        tolerances("some")
    with pytest.raises(ValueError, match="rules is 'best': give one of vlmevalkit, official"):
        olympiadbench_scorer("best")
    assert prepared(r"the \boxed{a}, \boxed{{b}}.") == "a,{b}"


@given(st.text(max_size=40), st.sampled_from(["official", "vlmevalkit", "lmms-eval"]))
def test_any_text_is_judged(text: str, rules: str) -> None:
    for asked in (choice("red"), free("12", "integer"), free("1.2", "float", 1), free("[1]", "list")):
        assert mathvista_scorer(rules)(text, asked).score in (0, 1)
    assert mathvision_scorer()(text, Reference(("1",))).score in (0, 1)
    assert olympiadbench_scorer()(text, Reference((r"\frac{1}{2}",))).score in (0, 1)


@given(st.integers(-(10**9), 10**9), st.integers(1, 999))
def test_arithmetic_is_that_of_python(one: int, two: int) -> None:
    assert python_value(f"{one}+{two}*2") == one + two * 2
    assert python_value(f"({one}-{two})/{two}") == (one - two) / two
    assert same_value(f"{one}", f"{one}.0")
