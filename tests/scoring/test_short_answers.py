"""Short answers by each harness's rules: a table from the definitions, and what holds for every answer."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.aggregates import mean, total
from tessera.scoring.texts.edits import edit_distance
from tessera.scoring.texts.named import AGGREGATES, SCORERS
from tessera.scoring.texts.tasks.english_words import english_words
from tessera.scoring.verdict import Graded, Reference, Verdict

SIGNS = str.maketrans({"⏎": "\n", "␣": " ", "⇥": "\t", "∅": ""})
PLAIN = ("vqa", "anls", "relaxed", "exact", "exact_match", "contains", "mra", "crpe", "gsm8k", "tool_call")
TEXTS = st.text(alphabet="aAtThe 0123456789.,%'-?()\n中ßİ", max_size=16)


def settings_of(text: str) -> dict[str, Any]:
    """`a=b c=0.5` as keywords, `␣` for a space; what JSON reads is no text."""
    found: dict[str, Any] = {}
    for name, value in (entry.split("=", 1) for entry in text.split()):
        try:
            found[name] = json.loads(value.translate(SIGNS))
        except json.JSONDecodeError:
            found[name] = value.translate(SIGNS)
    return found


def answers_of(text: str) -> tuple[str, ...]:
    found: list[str] = []
    for entry in text.split("|"):
        times = re.search(r"\*(\d+)$", entry)
        found += [entry[: times.start()] if times else entry] * (int(times[1]) if times else 1)
    return tuple(answer.translate(SIGNS) for answer in found)


def rows(name: str = "short_answers.txt") -> list[tuple[str, str, str, str]]:
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    cells = [line.split(" ;; ") for line in lines if not line.startswith("#")]
    return [(scorer, said, answers, score) for scorer, said, answers, score in cells]


@pytest.mark.parametrize(("scorer", "said", "answers", "score"), rows())
def test_short_answers(scorer: str, said: str, answers: str, score: str) -> None:
    name, _, settings = scorer.partition(" ")
    given = settings_of(settings)
    fields = {key[1:]: str(given.pop(key)) for key in [*given] if key.startswith("@")}
    verdict = SCORERS[name](**given)(said.translate(SIGNS), Reference(answers_of(answers), fields=fields))
    assert math.isclose(verdict.score, float(score), abs_tol=1e-11), verdict


def test_every_period_beyond_the_thirty_second_stays() -> None:
    """The scripts hand a flag over as the number of replacements; published scores have it."""
    judge = SCORERS["vqa"]()
    assert judge("x" + "." * 32, Reference(("x",) * 10)).score == 1
    assert judge("x" + "." * 33, Reference(("x.",) * 10)).score == 0
    assert judge("x" + "." * 64, Reference(("x" + "." * 64,) * 10)).score == 1


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("vqa", {"rules": "evalai"}, "rules is 'evalai': give one of official"),
        ("anls", {"threshold": 2}, "threshold is 2: give a number from 0 to 1"),
        ("anls", {"lengths": None}, "lengths is None: give one of raw, collapsed"),
        ("relaxed", {"tolerance": True}, "tolerance is True: give a number"),
        ("exact_match", {"ignore_case": "yes"}, "ignore_case is 'yes': give true or false"),
        ("exact_match", {"ignore": "("}, "not a regular expression"),
        ("contains", {"rules": 3}, "rules is 3"),
    ],
)
def test_settings_are_checked_when_the_scorer_is_made(name: str, settings: Any, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        SCORERS[name](**settings)


def slow_distance(one: str, two: str) -> int:
    row = list(range(len(one) + 1))
    for number, sign in enumerate(two, 1):
        above, row = row, [number]
        for at, other in enumerate(one):
            row.append(above[at] if sign == other else 1 + min(above[at], above[at + 1], row[-1]))
    return row[-1]


def decimal(text: str) -> Decimal | None:
    """Our numbers in the table below, without floats."""
    try:
        return Decimal(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except InvalidOperation:
        return None


@pytest.mark.parametrize("rules", ["official", "vlmevalkit", "lmms-eval"])
@pytest.mark.parametrize("target", ["100", "-20", "0.5", "12.5%", "0", "abc", "2000", "1e2"])
def test_relaxed_on_a_grid(rules: str, target: str) -> None:
    """A tolerance is a share of the right number; InternVL's script takes it of the predicted one."""
    numbers = [
        "0",
        "95",
        "95.2",
        "95.3",
        "104.9",
        "105",
        "105.3",
        "-19",
        "-21",
        "-21.1",
        "20",
        "0.476",
        "0.52",
    ]
    for said in [*numbers, "50%", "12%", "13.2%", "0.125", "ABC", "abc ", "1900", "1904.7", "1,00", ""]:
        text = said if rules == "lmms-eval" else said.strip()
        value, right = decimal(text), decimal(target)
        over = value if rules == "official" else right
        if value is not None and right is not None and over:
            expected = abs(value - right) <= abs(over) * Decimal("0.05")
        else:
            expected = text.lower() == target.lower()
        found = SCORERS["relaxed"](rules=rules)(said, Reference((target,))).score
        assert found == expected, (said, target)


@pytest.mark.parametrize("people", range(11))
@pytest.mark.parametrize("rules", ["official", "vlmevalkit", "lmms-eval", "lmms-eval-vqav2", "organisers"])
def test_accuracy_by_how_many_people_agree(rules: str, people: int) -> None:
    """The mean over leaving one out is a third of the matches, less a tenth of what the leaving takes."""
    answers = ("red",) * people + tuple(f"other {at}" for at in range(10 - people))
    inside, outside = min(1, (people - 1) / 3), min(1, people / 3)
    expected = (people * inside + (10 - people) * outside) / 10
    assert SCORERS["vqa"](rules=rules)("Red" if people < 10 else "red", Reference(answers)).score == (
        pytest.approx(expected)
    )


@given(st.text(alphabet="ab cé中", max_size=12), st.text(alphabet="ab cé中", max_size=12))
def test_similarity_is_the_same_from_both_sides(one: str, two: str) -> None:
    """And never below the threshold; strangers keep nothing."""
    score = SCORERS["anls"]()(one, Reference((two,))).score
    assert score == SCORERS["anls"]()(two, Reference((one,))).score
    assert score == 0 or score >= 0.5
    length = max(len(one), len(two))
    plain = 1 - slow_distance(" ".join(one.split()), " ".join(two.split())) / length if length else 1
    assert score == (plain if plain >= 0.5 else 0)


@given(TEXTS, TEXTS)
def test_edit_distance_is_that_of_the_table(one: str, two: str) -> None:
    assert edit_distance(one, two) == slow_distance(one, two)


@given(st.lists(TEXTS, min_size=1, max_size=10), TEXTS, st.randoms(use_true_random=False))
def test_order_of_the_answers_does_not_count(answers: list[str], said: str, random: Any) -> None:
    shuffled = random.sample(answers, len(answers))
    for name in PLAIN:
        one, two = (SCORERS[name]()(said, Reference(tuple(given))) for given in (answers, shuffled))
        assert math.isclose(one.score, two.score) and 0 <= one.score <= 1


@given(TEXTS)
def test_an_answer_is_right_for_itself_and_case_and_outer_space_do_not_count(text: str) -> None:
    for name in ("vqa", "exact", "anls"):
        assert SCORERS[name]()(text, Reference((text,) * 10)).score == 1
    for said in (f" {text}", f"{text}\n", text.swapcase() if text.isascii() else text):
        assert SCORERS["exact"]()(said, Reference((text,))).score == 1
        assert SCORERS["vqa"]()(said, Reference((text,) * 10)).score == 1


def graded(scores: list[float], **columns: list[Any]) -> list[Graded]:
    fields = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    fields = fields or [{} for _ in scores]
    return [
        Graded(str(at), "", Verdict(score), Reference((), fields=own))
        for at, (score, own) in enumerate(zip(scores, fields, strict=True))
    ]


def test_means_and_sums() -> None:
    four = graded([1, 0, 1, 0.5], split=["a", "a", "a", "b"], level=[1, 2, 1, None])
    assert mean()(four) == {"overall": 62.5}
    assert mean(percent=False)(four) == {"overall": 0.625}
    assert mean(by="level")(four) == {"overall": 62.5, "level=1": 100, "level=2": 0}
    macro = mean(percent=False, of_groups="split")(four)
    assert macro == pytest.approx({"overall": (2 / 3 + 0.5) / 2, "split=a": 2 / 3, "split=b": 0.5})
    assert total(by=["split"])(four) == {"overall": 2.5, "split=a": 2, "split=b": 0.5}
    assert math.isnan(mean()([])["overall"])
    with pytest.raises(ValueError, match="no question has a column 'kind': give one of level, split"):
        mean(of_groups="kind")(four)
    assert mean(by=["kind"])(four) == mean()(four)
    assert set(AGGREGATES) >= {"mean", "sum"}


def test_means_of_groups_count_every_group_the_same() -> None:
    four = graded([1, 0, 1, 0.5], split=["a", "a", "b", "c"])
    settings = {"column": "split", "groups": {"first": ["a", "b"], "none": "z"}}
    values = {"split=a": 50, "split=b": 100, "split=c": 50}
    assert AGGREGATES["grouped"](**settings)(four) == {"overall": 62.5, "first": 75} | values
    assert AGGREGATES["grouped"](**settings, others=False)(four)["overall"] == 75
    assert AGGREGATES["grouped"]("split")(four) == mean(of_groups="split")(four)
    with pytest.raises(ValueError, match="groups.a is .*: give a value or a list"):
        AGGREGATES["grouped"]("split", {"a": []})


def test_what_does_not_count_for_the_headline() -> None:
    four = graded([1, 0, 1, 0], type=["count", "area", "comp", "presence"])
    assert AGGREGATES["rsvqa"]()(four) == {
        "overall": 50,
        **{"type=count": 100, "type=area": 0, "type=comp": 100, "type=presence": 0},
    }
    assert mean(answered=True)([*four, Graded("5", "said", Verdict(0.25))])["overall"] == 25
    assert mean(without={"type": ["area", "comp", "presence"]})(four)["overall"] == 100


def test_questions_in_turn_make_one() -> None:
    kinds = ["a", "a", "a", "b", "b", "b", "b"]
    seven = graded([1, 1, 1, 0, 1, 1, 1], kind=kinds)
    assert AGGREGATES["consecutive"](of=2, by="kind")(seven) == pytest.approx(
        {"overall": 200 / 3, "kind=a": 100, "kind=b": 50}
    )
    with pytest.raises(ValueError, match="of is 0: give how many"):
        AGGREGATES["consecutive"](of=0)


def test_points_of_ocrbench_and_groups_of_mirb() -> None:
    points = graded([1, 1, 0, 1], category=["Handwriting Recognition", "Doc-oriented VQA"] * 2)
    found = AGGREGATES["ocrbench"]()(points)
    assert {name: found[name] for name in ("overall", "Text Recognition", "Doc-oriented VQA")} == {
        **{"overall": 3, "Text Recognition": 1, "Doc-oriented VQA": 2}
    }
    tasks = graded([1, 0, 1, 0], task=["food", "sightseeing", "arxiv", "plot_text"])
    found = AGGREGATES["mirb"]()(tasks)
    assert (found["overall"], found["Knowledge"], found["Multi-Hop"], found["task=plot_text"]) == (
        75,
        50,
        100,
        0,
    )


def test_ratios_are_the_figures() -> None:
    four = graded([1, 0, 1, 0.5], split=["a", "a", "b", "c"])
    for aggregate in (
        mean(by="split"),
        total("split"),
        mean(of_groups="split"),
        AGGREGATES["rsvqa"]("split"),
    ):
        figures = aggregate(four)
        assert all(ratio.value == figures[name] for name, ratio in aggregate.ratios(four).items())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's a well-known U.S. law.", "It|'s|a|well|-|known|U.S.|law|."),
        ("He can't, won't; cannot!", "He|ca|n't|,|wo|n't|;|can|not|!"),
        ("(born 3 May 1950)", "(|born|3|May|1950|)"),
        ("$1,234.5 or 50% or 10km", "$|1,234.5|or|50|%|or|10|km"),
        ("New York's 5th Ave. at 5p.m.", "New|York|'s|5th|Ave|.|at|5|p.m."),
        ("J. R. R. Tolkien et al.", "J.|R.|R.|Tolkien|et|al|."),
        ("win—she: 3–2 on/off a,b end.Next", "win|—|she|:|3–2|on|/|off|a|,|b|end|.|Next"),
        ("wait... :) www.a.com x@y.org", "wait|...|:)|www.a.com|x@y.org"),
        ("a  b\nc", "a| |b|\n|c"),
        ("“Best” 'x' ’tis it’s", "“|Best|”|'|x|'|’|tis|it|’s"),
        ("25°C. 5+3 2020", "25|°|C|.|5|+|3|2020"),
        ("", ""),
    ],
)
def test_words_are_divided_as_spacy_does(text: str, words: str) -> None:
    """Recorded answers of its English rules, version 3.8.18."""
    assert english_words(text) == [word for word in words.split("|") if word]


@pytest.mark.parametrize(
    ("settings", "said", "blanks", "exact", "jaccard"),
    [
        ({}, "the film was released in May", ["film was released"], [1], [1]),
        ({}, "the film is released in May", ["film was released"], [0], [0.5]),
        ({}, "released", ["film was released"], [0], [0]),
        ({}, "nothing alike here", ["film was"], [0], [0]),
        ({}, "I'm sorry, film was", ["film was"], [0], [0]),
        ({}, "I cannot read it: film was", ["film was"], [0], [0]),
        ({}, "sorry Assistant: film was", ["film was"], [1], [1]),
        ({"rules": "lmms-eval"}, "sorry Assistant: film was", ["film was"], [0], [0]),
        ({}, "a film was shown", ["film was", "was not"], [1, 0], [1, 1 / 3]),
        ({}, "", ["x"], [0], [0]),
        ({"language": "zh"}, "他在北京大学读书", ["北京大学", "大学生活"], [1, 0], [1, 1 / 3]),
        ({"language": "zh"}, "无法识别 北京", ["北京"], [0], [0]),
    ],
)
def test_covered_words(settings: Any, said: str, blanks: list[str], exact: Any, jaccard: Any) -> None:
    verdict = SCORERS["vcr"](**settings)(said, Reference(tuple(blanks)))
    assert verdict.parts["exact_match"] == exact and verdict.parts["jaccard"] == pytest.approx(jaccard)
    assert verdict.score == sum(exact) / len(exact)


def test_covered_words_count_by_blank_not_by_question() -> None:
    judge = SCORERS["vcr"]()
    rows = [Reference(("a b",)), Reference(("a b", "c d", "e f"))]
    found = AGGREGATES["vcr"]()([Graded("", "a b", judge("a b", row), row) for row in rows])
    assert found == {"overall": 50, "exact_match": 50, "jaccard": 50}


CALL = '<tool_call>\n{"name": "zoom", "arguments": {"x": 1, "y": [2]}}\n</tool_call>'


@pytest.mark.parametrize(
    ("said", "meant", "settings", "score"),
    [
        (CALL, CALL, {}, 1),
        (f"I look closer. {CALL} Done.", CALL, {}, 1),
        (CALL, '{"arguments": {"y": [2.0], "x": 1}, "name": "zoom"}', {}, 1),
        (CALL, '{"name": "zoom", "arguments": {"x": 2}}', {}, 0),
        (CALL, '{"name": "zoom", "arguments": {"x": 2}}', {"arguments": False}, 1),
        (CALL, '{"name": "crop", "arguments": {"x": 2}}', {"arguments": False}, 0),
        (CALL, '{"function": {"name": "zoom", "arguments": "{\\"x\\": 1, \\"y\\": [2]}"}}', {}, 1),
        (CALL.replace("</tool_call>", ""), CALL, {}, 1),
        ('{"name": "zoom", "arguments": {"x": 1, "y": [2]}}', CALL, {}, 1),
        (CALL + CALL, CALL, {}, 0),
        (CALL + CALL.replace("zoom", "b"), CALL.replace("zoom", "b") + CALL, {}, 1),
        (CALL + CALL.replace("zoom", "b"), CALL.replace("zoom", "b") + CALL, {"ordered": True}, 0),
        ("<tool_call>{broken</tool_call>", CALL, {"arguments": False}, 0),
        ("no call", CALL, {}, 0),
        ("no call", "[]", {}, 1),
        ("<tool_call>[1, 2]</tool_call>", CALL, {}, 0),
    ],
)
def test_calls_of_functions(said: str, meant: str, settings: Any, score: float) -> None:
    assert SCORERS["tool_call"](**settings)(said, Reference((meant,))).score == score


CRPE = [  # reply, whether it means B by lmms-eval's filter
    ("B", 1), ("b.", 1), ("B. red cat", 1), ("the red cat", 1), ("red", 0), ("A red cat", 1),
    ("(B)", 1), ("", 0), ("<think>dog</think> B", 1), ("<answer>red cat</answer> dog", 1),
    ("dog or red cat", 0), ("B D", 0),
]  # fmt: skip


@pytest.mark.parametrize(("said", "score"), CRPE)
def test_crpe_finds_the_text_of_an_option_in_the_question(said: str, score: int) -> None:
    asked = Reference(("B",), question="What?\nA. dog\nB. red cat\nC. sun-dial")
    assert SCORERS["crpe"]("lmms-eval")(said, asked).score == score
