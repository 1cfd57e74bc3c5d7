"""Replies of judges as the published scripts read them, and figures of the marks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.judged import replies
from tessera.scoring.judged.figures import (
    llava_bench_figures,
    mmhal_figures,
    mmvet_figures,
    wildvision_figures,
)
from tessera.scoring.judged.scorers import judged_scorer
from tessera.scoring.verdict import OVERALL, Graded, Reference, Verdict

SHARES = [
    ("0.5", 0.5, 0.5), (" 1.0\n", 1.0, 1.0), ("0.5 because", None, 0.5), ("1.1", None, None),
    ("-0.1", None, None), ("", None, None), ("nan", None, None), ("0.5.", None, None),
    ("score: 1", None, None), ("1e-1", 0.1, 0.1),
]  # fmt: skip
PAIRS = [
    ("8 9", (8, 9)), ("8,9", (8, 9)), ("8.5 7\nbecause 1 2", (8.5, 7)), ("8, 9", None), ("8  9", None),
    ("8", None), ("8 9 10", None), ("eight 9", None), ("", None), ("\n8 9", None), ("8 nan", None),
    ("-1 10", (-1, 10)),
]  # fmt: skip
RATINGS = [
    ("Rating: 6", 6), ("so RATING: 0, no", 0), ("Rating:6", None), ("rating: 7", None),
    ("Rating: 3 or Rating: 4", None), ("Rating: 3. Rating: 3", 3), ("", None), ("rating: 10", 1),
]  # fmt: skip
PREFERENCES = [
    ("[[A>B]]", -1), ("My verdict: [[B>>A]]", 2), ("[[A=B]] and [[A=B]]", 0), ("[[A>B]] [[B>A]]", None),
    ("A>B", None), ("[[C]]", None), ("[[A>>B]]", -2), ("[[B>A]]", 1), ("[[A<B]]", None), ("", None),
]  # fmt: skip
OTHERS = [
    ("points", "3", 3), ("points", " 0 ", 0), ("points", "4", None), ("points", "2.0", None),
    ("points", "three", None), ("same", "1", 1), ("same", "0\n", 0), ("same", "1.", None),
    ("same", "Judgement: 1", None), ("graded", '{"extracted_answer": "5", "score": 1}', 1),
    ("graded", '{"score": 1}', None), ("graded", "[1]", None),
    ("graded", '{"extracted_answer": "5", "score": "x"}', None), ("graded", "1", None),
    ("graded", "", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "whole", "first"), SHARES)
def test_shares(text: str, whole: float | None, first: float | None) -> None:
    assert replies.share(text) == whole
    if text != " 1.0\n":  # an empty first word
        assert replies.first_share(text) == first


@pytest.mark.parametrize(("text", "marks"), PAIRS)
def test_pairs(text: str, marks: tuple[float, float] | None) -> None:
    assert replies.pair(text) == marks


@pytest.mark.parametrize(
    ("kind", "text", "mark"),
    [("rating", *row) for row in RATINGS] + [("preference", *row) for row in PREFERENCES] + OTHERS,
)
def test_marks(kind: str, text: str, mark: float | None) -> None:
    assert replies.MARKS[kind](text) == mark


@given(st.text(max_size=50), st.sampled_from(sorted(replies.MARKS)))
def test_any_reply_is_read(text: str, kind: str) -> None:
    found = replies.MARKS[kind](text)
    assert found is None or isinstance(found, float)
    replies.pair(text)


def marked(score: float, parts: dict[str, object] | None = None, **fields: object) -> Graded:
    return Graded("1", "", Verdict(score, parts=parts or {}), Reference((), fields=fields))


def test_mmvets_abilities() -> None:
    graded = [marked(1.0, category="rec,ocr"), marked(0.5, category="ocr"), marked(0.0, category="math")]
    found = mmvet_figures()(graded)
    assert (found[OVERALL], found["rec"], found["ocr"], found["math"]) == (50, 100, 75, 0)
    assert found["category=rec,ocr"] == 100 and "gen" not in found
    assert mmvet_figures()([marked(0.5)]) == {OVERALL: 50}


def test_llava_bench_is_a_ratio_of_means() -> None:
    graded = [marked(0, {"pair": [8, 4]}, category="conv"), marked(0, {"pair": [10, 10]}, category="detail")]
    found = llava_bench_figures()(graded)
    assert found[OVERALL] == pytest.approx(100 * 14 / 18) and found["category=conv"] == 50
    assert (found["answers"], found["reference"]) == (70, 90)
    failed = llava_bench_figures()([*graded, marked(0)])
    assert failed[OVERALL] == pytest.approx(100 * 13 / 17)
    assert llava_bench_figures()([])[OVERALL] == 0


def test_mmhals_mean_and_rate() -> None:
    graded = [marked(6, question_type="a"), marked(2, question_type="a"), marked(3, question_type="b")]
    found = mmhal_figures()(graded)
    assert found[OVERALL] == pytest.approx(11 / 3) and found["hallucination"] == pytest.approx(100 / 3)
    assert (found["question_type=a"], found["question_type=b"]) == (4, 3)


def test_wildvisions_wins_and_reward() -> None:
    found = wildvision_figures()([marked(0, {"mark": mark}) for mark in (2.0, 1.0, 0.0, -2.0)] + [marked(0)])
    assert found[OVERALL] == 40 and found["reward"] == pytest.approx((100 + 50 - 100) / 5)
    assert (found["tie"], found["much worse"], found["worse"]) == (40, 20, 0)


def test_an_answer_without_its_judge_says_so() -> None:
    assert judged_scorer()("anything", Reference(())) == Verdict(0.0, None, "needs a judge", {"unsure": True})
