"""Judges: who is asked about, what is asked, and what replies make of verdicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tessera.evaluation.benchmarks.catalogue import all_benchmarks
from tessera.evaluation.judging.judge import (
    JudgeRules,
    asks_about,
    judge_names,
    judge_rules,
    questions,
    verdicts,
)
from tessera.scoring.choices.scorers import choice_scorer
from tessera.scoring.judged.scorers import judged_scorer
from tessera.scoring.maths.letters_or_values import mathverse_scorer
from tessera.scoring.maths.mathvista import mathvista_scorer
from tessera.scoring.verdict import Graded, Reference, Scorer
from tessera.scoring.yes_no.scorers import yes_no_scorer

OPTIONS = {"A": "red", "B": "a blue car", "C": "green"}


def graded(scorer: Scorer, said: str, right: str, index: str = "1", **fields: object) -> Graded:
    asked = Reference((right,), {} if fields.pop("bare", False) else OPTIONS, "What is it?", fields)
    return Graded(index, said, scorer(said, asked), asked)


def told(name: str, one: Graded, reply: str | None, scorer: Scorer | None = None) -> Graded:
    return verdicts(judge_rules(name), [one], {} if reply is None else {one.index: reply}, scorer, "tiny")[0]


def test_every_judge_that_benchmarks_name_is_there_and_can_ask() -> None:
    named = {one.judge for one in all_benchmarks().values() if one.judge}
    assert named <= set(judge_names())
    columns = {"grading_query": "{PREDICTION}?", "image_content": ["a", "b"], "caption": "c", "query": "q"}
    for name in judge_names():
        rules = judge_rules(name)
        assert rules.name == name and rules.source and rules.about
        one = graded(judged_scorer(), "what it SAID", "the RIGHT one", **columns)
        (asked,) = questions(rules, [one])
        assert "what it SAID" in asked.text and asked.index == "1"
        if name not in (
            "mcq",
            "yes_no",
            "mathvista",
            "mathvision",
            "charxiv",
        ):  # these must not see the answer
            assert "the RIGHT one" in asked.text
        else:
            assert "the RIGHT one" not in asked.text


def test_only_what_the_rule_left_open_is_asked_about() -> None:
    scorer = choice_scorer("vlmevalkit")
    clear, open_one = graded(scorer, "B", "B"), graded(scorer, "no letter at all", "B", "2")
    rules = judge_rules("mcq")
    assert [asked.index for asked in questions(rules, [clear, open_one])] == ["2"]
    assert "A. red\nB. a blue car\nC. green\n" in questions(rules, [open_one])[0].text
    left, judged = verdicts(rules, [clear, open_one], {"2": "B"}, scorer, "tiny")
    assert left is clear and judged.verdict.score == 1 and judged.verdict.extracted == "B"
    assert judged.verdict.why.startswith("judge tiny: 'B'") and judged.verdict.parts["judged"]


def test_an_answer_is_asked_about_until_a_reply_can_be_read() -> None:
    rules = judge_rules("mcq")
    one = graded(choice_scorer("vlmevalkit"), "no letter at all", "B")
    assert len(questions(rules, [one], {"1": "I can't tell which"}, call=1)) == 1
    assert questions(rules, [one], {"1": "Z"}, call=1) == []
    assert questions(rules, [one], {}, call=rules.calls) == []
    vista = judge_rules("mathvista")
    lost = graded(mathvista_scorer(), "so it is 12", "12", bare=True, answer_type="integer")
    assert [questions(vista, [lost], call=call)[0].temperature for call in range(5)] == [0, 0.5, 1, 1.5, 2]


@pytest.mark.parametrize(
    ("reply", "score", "letter"),
    [("B", 1, "B"), ("C", 0, "C"), ("Z", 0, "Z"), ("B.", 1, "B"), ("a blue car", 1, "B")],
)
def test_letters_of_a_judge(reply: str, score: int, letter: str) -> None:
    scorer = choice_scorer("vlmevalkit")
    found = told("mcq", graded(scorer, "no letter at all", "B"), reply, scorer).verdict
    assert (found.score, found.extracted) == (score, letter)


def test_what_a_judge_does_not_say_stays_as_the_rule_has_it() -> None:
    scorer = choice_scorer("vlmevalkit")
    one = graded(scorer, "no letter at all", "B")
    unread = "judge tiny: not to be read: 'who knows'"
    for reply, why in ((None, "judge tiny was not asked"), ("who knows", unread)):
        found = told("mcq", one, reply, scorer).verdict
        assert found == replace(one.verdict, why=f"{one.verdict.why}; {why}")
    assert told("mmvet", graded(judged_scorer(), "x", "y"), "a lot").verdict.score == 0


def test_answers_and_yes_or_no_go_through_the_benchmarks_scorer() -> None:
    scorer = mathvista_scorer()
    lost = graded(scorer, "so it is 12 in all", "12", bare=True, answer_type="integer")
    assert lost.verdict.score == 0 and asks_about(judge_rules("mathvista"), lost)
    assert told("mathvista", lost, " 12\n", scorer).verdict.score == 1
    assert told("mathvista", lost, "13", scorer).verdict.score == 0
    unclear = graded(yes_no_scorer(), "a dog stands there", "yes", bare=True)
    assert told("yes_no", unclear, "Yes.", yes_no_scorer()).verdict.score == 1
    assert told("yes_no", unclear, "Unknown", yes_no_scorer()).verdict.score == 0
    with pytest.raises(ValueError, match="judge mcq: its replies are answers; give the benchmark's scorer"):
        verdicts(judge_rules("mcq"), [lost], {})


MARKS = [
    ("mmvet", "0.7", 0.7, "mark", 0.7), ("llava_bench", "8 9\nfine", 0.9, "pair", [8, 9]),
    ("mmhal", "Rating: 4", 4, "mark", 4), ("wildvision", "[[B>A]]", 1, "mark", 1),
    ("wildvision", "[[A>>B]]", 0, "mark", -2), ("mmbench_video", "3", 3, "mark", 3),
    ("charxiv", '{"extracted_answer": "5", "score": 1.0}', 1, "mark", 1), ("mathverse", "1", 1, "mark", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "reply", "score", "part", "value"), MARKS)
def test_marks(name: str, reply: str, score: float, part: str, value: object) -> None:
    found = told(name, graded(judged_scorer(), "x", "y"), reply).verdict
    assert (found.score, found.parts[part], found.parts["judged"]) == (score, value, True)


def test_mathverse_asks_about_every_answer() -> None:
    assert asks_about(judge_rules("mathverse"), graded(mathverse_scorer(), "5", "5"))


def test_own_rules_and_their_faults(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    head = "name: mine\nabout: a\nsource: s\n"
    file.write_text(head + "reads: same\nprompt: '{{ prediction }} or {{ colour }}?'\n")
    rules = judge_rules(file)
    assert isinstance(rules, JudgeRules) and rules.calls == 3
    one = graded(judged_scorer(), "x", "y", colour="red")
    assert questions(rules, [one])[0].text == "x or red?"
    with pytest.raises(ValueError, match="judge mine, question 1: 'colour' is undefined"):
        questions(rules, [graded(judged_scorer(), "x", "y")])
    file.write_text(head + "reads: mood\nprompt: x\n")
    with pytest.raises(ValueError, match="judge file .*mine.yaml.*reads"):
        judge_rules(file)
    with pytest.raises(ValueError, match="judge 'nobody' is unknown: give one of charxiv"):
        judge_rules("nobody")
