"""Pairs of a question against a slow oracle; differences of texts; answers written as the data set does."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.align.preferences.answer_fix import fix_answer
from tessera.align.preferences.grouping import Grouping
from tessera.align.preferences.pairs import EMPTY, NOT_DRAWN, PART, RefusedPair, build_pairs, refusal
from tessera.align.preferences.response import SampledResponse
from tessera.align.preferences.verdicts import Kind, ResponseVerdict, ScoredResponse
from tessera.pages.difference import mark_difference


def scored(
    line: int, kind: Kind, answer: str, text: str, target: str = "5", version: str = "en"
) -> ScoredResponse:
    response = SampledResponse(line, {}, (), "how many?", target, text, version)
    return ScoredResponse(response, ResponseVerdict(kind, answer, 0.0, "", "why"))


KINDS = st.sampled_from(["positive", "negative", "format"])
GROUPS = st.lists(
    st.tuples(KINDS, st.sampled_from(["5", "6", "15", "no", ""]), st.sampled_from("abcd ")), max_size=14
)


def built(
    group: list[ScoredResponse], most: int, seed: int = 0
) -> tuple[list[tuple[int, int, str]], list[RefusedPair]]:
    refused: list[RefusedPair] = []
    pairs = build_pairs(group, most, random.Random(seed), refused.append)
    return [(p.chosen.response.line, p.rejected.response.line, p.rule) for p in pairs], refused


@settings(max_examples=150, deadline=None)
@given(GROUPS, st.integers(1, 6))
def test_every_pair_is_taken_or_told(rows: list[tuple[Kind, str, str]], most: int) -> None:
    group = [scored(line, *row) for line, row in enumerate(rows, 1)]
    kept, refused = built(group, most)
    first = {(one.verdict.kind, one.response.text): one for one in reversed(group)}.values()
    right = [one for one in first if one.verdict.kind == "positive"]
    oracle = {(a.response.line, b.response.line) for a, b in product(right, first) if b not in right}
    told = {entry.lines: entry.why for entry in refused if len(entry.lines) == 2}
    assert {(a, b) for a, b, _ in kept} | set(told) == oracle and len(kept) + len(told) == len(oracle)
    for rule in ("correctness", "format"):
        assert sum(kind == rule for *_, kind in kept) <= most
    alone = {line for entry in refused if len(entry.lines) == 1 for line in entry.lines}
    paired = {line for lines in oracle for line in lines}
    assert alone | paired == set(range(1, len(group) + 1)) and not alone & paired
    assert built(group, most) == (kept, refused)


@settings(max_examples=100, deadline=None)
@given(GROUPS)
def test_without_a_limit_every_allowed_pair_is_taken(rows: list[tuple[Kind, str, str]]) -> None:
    group = [scored(line, *row) for line, row in enumerate(rows, 1)]
    kept, refused = built(group, 1000)
    lines = {one.response.line: one for one in group}
    assert NOT_DRAWN not in {entry.why for entry in refused}
    for chosen, rejected, rule in kept:
        a, b = lines[chosen], lines[rejected]
        assert a.verdict.kind == "positive" and b.verdict.kind == (
            "format" if rule == "format" else "negative"
        )
        assert a.response.text.strip() and b.response.text.strip() and a.response.text != b.response.text
        assert rule == "format" or a.verdict.answer.lower() not in b.verdict.answer.lower()


def test_every_pair_is_as_likely_as_any_other() -> None:
    group = [scored(n, "positive", "5", f"right {n}") for n in range(4)]
    group += [scored(n, "negative", "6", f"wrong {n}") for n in range(4, 8)]
    drawn = [pair for seed in range(400) for pair in built(group, 3, seed)[0]]
    counts = {pair: drawn.count(pair) for pair in set(drawn)}
    assert len(counts) == 16 and min(counts.values()) > 40 and max(counts.values()) < 115  # 75 expected


def test_rules_of_refusal() -> None:
    group = [scored(1, "positive", "5", "a"), scored(2, "negative", "15", "b"), scored(3, "format", "", "")]
    assert [(e.lines, e.why) for e in built(group, 9)[1]] == [((1, 2), PART), ((1, 3), EMPTY)]


def test_the_published_none_comes_back_on_demand() -> None:
    """A format negative had the answer "None", so that a right "No" was never paired with it."""
    group = [scored(1, "positive", "No", "a"), scored(2, "format", "", "b")]
    (pair,) = build_pairs(group, 9, random.Random(0), lambda _: None)
    assert refusal(pair) is None and refusal(pair, as_published=True) == PART
    assert not build_pairs(group, 9, random.Random(0), lambda _: None, as_published=True)


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=30))
def test_lines_by_question(keys: list[str]) -> None:
    """ "" stands for a line that was passed over."""
    grouping = Grouping()
    for index, key in enumerate(keys):
        if key:
            grouping.add(index, ((), key, ""))
    expected: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        if key:
            expected.setdefault(key, []).append(index)
    assert [group.tolist() for group in grouping.groups()] == list(expected.values())


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab 红色.\n", max_size=25), st.text(alphabet="ab 红色.\n", max_size=25))
def test_differences_hold_both_texts(one: str, two: str) -> None:
    first, second = mark_difference(one, two)
    assert "".join(text for _, text in first) == one and "".join(text for _, text in second) == two
    same = ["".join(text for marked, text in pieces if not marked) for pieces in (first, second)]
    assert same[0] == same[1]
    assert one != two or not any(marked for marked, _ in (*first, *second))


def test_differences_of_long_texts_stay_quick() -> None:
    begin = "the same beginning " * 3000
    first, _ = mark_difference(begin + "a " * 4000, begin + "b " * 4000)
    assert first == ((False, begin), (True, "a " * 3999 + "a"), (False, " "))
    assert mark_difference("答案是红色", "答案是蓝色")[0] == ((False, "答案是"), (True, "红"), (False, "色"))


@pytest.mark.parametrize(
    ("text", "answer", "target", "fixed"),
    [
        ("So.\n\n**Final answer: B. cat**", "B. cat**", "B", "So.\n\nFinal answer: B"),
        ("So.\n\nFinal answer: (B) cat", "(B) cat", "B", "So.\n\nFinal answer: B"),
        ("So.\n\nFinal answer: Bob", "Bob", "B", "So.\n\nFinal answer: Bob"),
        ("5 cm.\n\nFinal answer: 5 cm", "5 cm", "5", "5 cm.\n\nFinal answer: 5"),
        ("So.\n\nFinal answer: 30,594.", "30,594.", "30594", "So.\n\nFinal answer: 30594"),
        ("So.\n\nFinal answer: five", "five", "5", "So.\n\nFinal answer: five"),
        ("So.\n\nFinal answer: 5", "5", "5", "So.\n\nFinal answer: 5"),
    ],
)
def test_answers_written_as_the_data_set_does(text: str, answer: str, target: str, fixed: str) -> None:
    assert fix_answer(scored(1, "positive", answer, text, target)).response.text == fixed
    for left in (
        scored(1, "negative", answer, text, target),
        scored(1, "positive", answer, text, target, "en_v2"),
    ):
        assert fix_answer(left) is left
