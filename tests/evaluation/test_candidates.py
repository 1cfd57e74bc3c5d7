"""Several answers to each held-out question: read, graded, chosen, and the curve by their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tessera.align.prompts import write_prompt
from tessera.chat.message import Conversation
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.candidates import (
    ORACLE,
    CandidateAsking,
    CandidateResults,
    OftenAsked,
    curve_json,
    evaluate_candidates,
    read_candidate,
)
from tessera.evaluation.report import Report, StageResult, report_page
from tessera.evaluation.runner import Answered
from tessera.evaluation.tasks import HeldoutItem, heldout_items
from tessera.pages.page import render
from tessera.scoring.selection.rule import Candidate, SelectionRule
from tests.evaluation.doubles import FakeCompletion, FakeEncoder, FakePrompt

MAJORITY, BEST = SelectionRule("majority"), SelectionRule("best_of")
RULES = {"majority": MAJORITY, "best of": BEST}


class DrawingEngine:
    """Answers the expected answer at the places of `right`, else "nothing"; remembers the samplings."""

    def __init__(self, right: Sequence[bool]) -> None:
        self.right, self.samplings = right, list[Sampling]()
        self.known = {
            item.scene.caption: item for task in ("count", "reason") for item in heldout_items(task, 4)
        }

    def generate(self, prompts: Sequence[FakePrompt], samplings: Sequence[Sampling]) -> list[Any]:
        self.samplings += samplings
        texts = [prompt.conversation.messages[0].text for prompt in prompts]
        answers = [self._answer(text, place % len(self.right)) for place, text in enumerate(texts)]
        return [Said(text, tuple(range(1 + place % 2))) for place, text in enumerate(answers)]

    def _answer(self, text: str, place: int) -> str:
        item = next(item for caption, item in self.known.items() if text.startswith(caption))
        return item.question.answer if self.right[place] else f"nothing {place}"


class Said(FakeCompletion):
    logprobs = ()

    def sound(self) -> Said:
        return self


def run(right: Sequence[bool], **more: Any) -> tuple[CandidateResults, DrawingEngine]:
    engine = DrawingEngine(right)
    asking = CandidateAsking(len(right), **more)
    tasks = ("count", "reason")
    return evaluate_candidates(engine, FakeEncoder(), asking, tasks, 4, "caption"), engine  # type: ignore[arg-type]


def test_votes_and_the_best_among_candidates() -> None:
    rated: list[tuple[Conversation, list[str]]] = []

    def scores(talk: Conversation, texts: Sequence[str]) -> list[float]:
        rated.append((talk, list(texts)))
        return [0.9 if place == 3 else 0.5 for place in range(len(texts))]

    results, engine = run([False, True, True, False], scores=scores)
    assert len(results.questions) == 8 and len(rated) == 8
    assert results.chosen(MAJORITY).mean() == 1.0, "two say the right thing, two say different other things"
    assert results.chosen(BEST).mean() == 0.0, "the critic likes the last one"
    assert results.chosen(BEST).tasks["reason"].steps.total == 4
    assert results.chosen(MAJORITY).new_tokens == 8 * (1 + 2 + 1 + 2)
    assert results.chosen(MAJORITY).settings["selection.method"] == "majority"
    seeds = {one.seed for one in engine.samplings}
    assert len(seeds) == 32 and [one.temperature for one in engine.samplings[:4]] == [0.0, 0.7, 0.7, 0.7]


def test_the_curve_from_one_sampling() -> None:
    results, _ = run([False, True, True, False], scores=lambda _, texts: [0.1, 0.4, 0.3, 0.2])
    one, two, four = results.curve(RULES)
    assert (one.k, two.k, four.k) == (1, 2, 4)
    assert one.shares == {"majority": 0.0, "best of": 0.0, ORACLE: 0.0}, "the first, greedy one is wrong"
    assert two.shares["best of"] == pytest.approx(2 / 3) == two.shares[ORACLE]
    why = "one vote each, and the first is taken; but what breaks the format of `reason` has none"
    assert two.shares["majority"] == pytest.approx(1 / 3), why
    assert four.shares == {"majority": 1.0, "best of": 1.0, ORACLE: 1.0}
    assert (one.tokens, two.tokens, four.tokens) == (1.0, pytest.approx(1 + 5 / 3), 6.0)
    assert one.seconds < four.seconds == pytest.approx(results.seconds / 8)
    assert two.critic_seconds == pytest.approx(four.critic_seconds / 2)
    drawn, _ = run([False, True, True, False], greedy_first=False)
    assert drawn.curve({"majority": MAJORITY})[0].shares == {"majority": 0.5, ORACLE: 0.5}
    assert [point["k"] for point in curve_json(results.curve(RULES))] == [1, 2, 4]


def test_questions_in_front_can_be_left_out() -> None:
    engine, asking = DrawingEngine([True, False]), CandidateAsking(2)
    found = evaluate_candidates(engine, FakeEncoder(), asking, ["count"], 3, "caption", skip=1)  # type: ignore[arg-type]
    assert [one.item.question.text for one in found.questions] == [
        item.question.text for item in heldout_items("count", 4)[1:]
    ]
    assert found.settings["skip"] == 1 and found.settings["count"] == 3


def test_tasks_count_alike_on_the_curve() -> None:
    (count,), (reason,) = heldout_items("count", 1), heldout_items("reason", 1)

    def asked(item: HeldoutItem, right: bool) -> OftenAsked:
        return OftenAsked(item, (Candidate("a"),), (Answered(item, "a", right),), (1,))

    questions = [asked(count, True), asked(count, True), asked(count, True), asked(reason, False)]
    results = CandidateResults("picture", 1, 0, questions, 0, 1.0, 0.0)
    assert results.curve({})[0].shares[ORACLE] == 0.5 == results.chosen(MAJORITY).mean()


@pytest.mark.parametrize(
    ("task", "version", "text", "answer", "right"),
    [
        ("count", None, "{final}", "{final}", True),
        ("count", None, "", None, False),
        ("count", None, "9 + 9 = 99", "99", False),
        ("count", "en_v2", "I count them one by one.\nAnswer: \\boxed{{{final}}}", "{final}", True),
        ("count", "en_v2", "I count them one by one.\nAnswer: \\boxed{{99}}", "99", False),
        ("count", "en_v2", "{final}", None, False),
        ("reason", None, "{answer}", "{final}", True),
        ("reason", None, "{final}", None, False),
        ("reason", None, "red 1.\n\n1 + 98 = 99.\n\nFinal answer: 99", "99", False),
        ("reason", "en", "I see it.\nReally.\nFinal answer: {final}", "{final}", True),
    ],
)
def test_how_a_candidate_is_read(
    task: str, version: str | None, text: str, answer: str | None, right: bool
) -> None:
    item = heldout_items(task, 1)[0]
    said = {"final": item.question.final, "answer": item.question.answer}
    found, graded = read_candidate(item, text.format(**said), version)
    assert (found, graded.right) == (answer and answer.format(**said), right)


def test_prompts_stand_around_the_question() -> None:
    item = heldout_items("count", 1)[0]
    asking = CandidateAsking(
        2, wording=lambda text: write_prompt(text, "en_v2", 0), version="en_v2", max_tiles=1
    )
    talk = asking.talk(item, "picture")
    assert f"{item.question.text}\nAnswer the preceding question." in talk.messages[0].text
    assert talk.media[0].max_tiles == 1  # type: ignore[union-attr]
    assert asking.talk(item, "blind").messages[0].text == write_prompt(item.question.text, "en_v2", 0)


def test_the_page_shows_the_curve() -> None:
    results, _ = run([False, True, True, False], scores=lambda _, texts: [0.1, 0.4, 0.3, 0.2])
    report = Report("a", [StageResult("a", results.chosen(BEST))], curve=results.curve(RULES))
    page = render(report_page(report))
    assert "Accuracy by number of candidates" in page and "best of: accuracy in %" in page
    assert "candidates: 1<" in page and "100.0 %" in page
    assert "number of candidates" not in render(report_page(replace(report, curve=())))
