"""A table of answers with what is right and wrong about them, and what holds for every answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.scoring.reasoned.datasets import KEYWORDS, OTHERS, modes_for
from tessera.scoring.reasoned.expression import expression_score
from tessera.scoring.reasoned.judging import EQUAL, MODES, AnswerJudge, available
from tessera.scoring.reasoned.measures import edit_share
from tessera.scoring.reasoned.package import installed
from tessera.scoring.texts.edits import edit_distance

FILES = {"others": "any", "chart": "chartqa", "doc": "docvqa", "geo": "geos", "mavis": "mavis"}
OWN = {
    name: tuple("expression" if m == "math_verify" else m for m in modes_for(f)) for name, f in FILES.items()
}
"""Judged by our own rules, whatever is installed."""
TEXTS = st.text(alphabet="0123456789.,-+/*^=<>(){}[]|\\$%° abcxFnπ½个红fracsqrt", max_size=24)


def rows() -> list[tuple[str, str, str, str]]:
    lines = (Path(__file__).parent / "answers.txt").read_text(encoding="utf-8").splitlines()
    cells = [re.split(r" ?;;(?: |$)", line) for line in lines if not line.startswith("#")]
    return [(mode, said, meant, verdict) for mode, said, meant, verdict in cells]


ROWS = rows()


def test_the_table_is_long_and_has_both_verdicts() -> None:
    verdicts = [verdict for *_, verdict in ROWS]
    assert len(ROWS) >= 300 and len(set(ROWS)) == len(ROWS)
    assert set(verdicts) == {"right", "wrong"} and verdicts.count("wrong") > 100


@pytest.mark.parametrize(("mode", "said", "meant", "verdict"), ROWS)
def test_answers(mode: str, said: str, meant: str, verdict: str) -> None:
    found = AnswerJudge(OWN.get(mode, (mode,))).judge(said, meant)
    assert ("right" if found.right else "wrong") == verdict, found


def test_which_mode_told() -> None:
    judge = AnswerJudge(("vqa", "mc", "math"))
    assert judge.judge("A CAT", "a cat").mode == EQUAL
    assert judge.judge("the cat", "cat").mode == "vqa"
    assert judge.judge("(B) cat", "B").mode == "mc"
    assert judge.judge("40 degrees", "40").mode == "math"
    assert not judge.judge("dog", "cat").right


def test_modes_by_file_name() -> None:
    """The published table; its keywords are taken with their case."""
    assert modes_for("train/chartqa_v2.jsonl") == ("relaxed",)
    assert modes_for("ChartQA.jsonl") == OTHERS
    assert modes_for("infographics") == modes_for("docvqa_en") == ("anls",)
    assert {modes_for(word) for word in ("SROIE", "CLEVR_math", "geos", "geometry3k")} == {KEYWORDS[2][1]}
    assert {mode for _, modes in KEYWORDS for mode in modes} | set(OTHERS) <= set(MODES)


def test_the_published_faults_come_back_on_demand() -> None:
    """The script took the edit distance for a similarity: nothing alike was right, a near miss wrong."""
    fixed, published = AnswerJudge(("anls",)), AnswerJudge(("anls",), as_published=True)
    near, far = ("invoice number 123", "invoice number 124"), ("qqqqqqqq", "invoice")
    assert fixed.judge(*near).right and not fixed.judge(*far).right
    assert not published.judge(*near).right and published.judge(*far).right
    # A decimal was taken for the letter of an option, and VQA's normalisation drops the sign of a number.
    assert AnswerJudge(("mc",), as_published=True).judge("3.14", "3").right
    assert AnswerJudge(("vqa",), as_published=True).judge("-5", "5").right
    # What VQA's normalisation empties was wrong whatever an earlier mode had said.
    both = ("expression", "vqa")
    assert AnswerJudge(both).judge(r"\{\}", "{}").right
    assert not AnswerJudge(both, as_published=True).judge(r"\{\}", "{}").right


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modes": ("exact",)}, "mode 'exact' is unknown; give some of vqa"),
        ({"modes": ()}, "modes are empty"),
        ({"modes": ("vqa",), "threshold": 1.0}, "threshold 1.0: give a number from 0 to below 1"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        AnswerJudge(**settings)  # type: ignore[arg-type]


@pytest.mark.skipif(installed(), reason="math-verify is installed")
def test_a_missing_package_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"pip install 'tessera-vl\[math\]'.*expression"):
        AnswerJudge(("math_verify",))
    assert available(("vqa", "math_verify")) == ("vqa", "expression")


@pytest.mark.skipif(not installed(), reason="math-verify is not installed")
def test_math_verify_agrees_where_both_know() -> None:
    assert available(("vqa", "math_verify")) == ("vqa", "math_verify")
    for said, meant in ((r"\frac{1}{2}", "0.5"), ("2(x+1)", "2x+2"), (r"\sqrt{12}", r"2\sqrt{3}")):
        assert AnswerJudge(("math_verify",)).judge(f"${said}$", f"${meant}$").right
    assert not AnswerJudge(("math_verify",)).judge("3", "4").right


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS)
def test_any_two_texts(one: str, two: str) -> None:
    """Nothing raises; equality and order of arguments keep what they promise."""
    judge = AnswerJudge(OTHERS[:3] + ("expression", "latex", "relaxed", "anls"))
    assert judge.judge(one, one).right
    assert 0 <= judge.judge(one, two).score <= 1
    assert expression_score(one, two) == expression_score(two, one)


def test_hostile_answers_end() -> None:
    """Two texts of 100,000 letters took hours by edit distance; deep formulas must not exhaust the stack."""
    judge = AnswerJudge(tuple(mode for mode in MODES if mode != "math_verify"))
    deep = ["2^" * 199 + "2", r"\sqrt" * 79 + "2", "(" * 200 + "1" + ")" * 199, "-" * 399 + "1", r"\pm1" * 90]
    for text in [*deep, "ab" * 50_000, r"\boxed{" * 20_000]:
        assert 0 <= judge.judge(text, text[::-1]).score <= 1
    assert judge.judge("ab" * 50_000, "ba" * 50_000).score == 0


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**4), 10**4), st.integers(1, 10**4), st.sampled_from(["", " cm", "°", r"\text{ kg}"]))
def test_every_way_to_write_a_fraction(above: int, below: int, unit: str) -> None:
    written = [f"{above}/{below}", rf"\frac{{{above}}}{{{below}}}", repr(above / below) if above else "0"]
    for text in written:
        plain = text if "e" not in text else f"{above}/{below}"
        assert expression_score(plain + unit, rf"$\dfrac{{{above}}}{{{below}}}$"), plain + unit
        assert not expression_score(plain, f"{above + below}/{below}")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_edit_distance_is_a_distance(one: str, two: str, three: str) -> None:
    assert edit_distance(one, two) == edit_distance(two, one) <= max(len(one), len(two))
    assert (edit_distance(one, two) == 0) == (one == two)
    assert edit_distance(one, three) <= edit_distance(one, two) + edit_distance(two, three)
    assert edit_share(one, two) >= 0
