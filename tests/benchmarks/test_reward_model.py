"""Rows and tables of the reward model: scores made of steps, and steps held against solutions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tessera.align.critics.critic import Judged
from tessera.align.process.steps import split_steps
from tessera.chat.message import Conversation
from tessera.evaluation.candidates import CandidateResults, OftenAsked, read_candidate
from tessera.evaluation.tasks import heldout_items
from tessera.scoring.selection.rule import Candidate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ITEM = heldout_items("reason", 1)[0]
RIGHT = ITEM.question.answer
WRONG = "red 99.\n\nFinal answer: none"


@dataclass
class Checker:
    """Likes every step of the right solution, and of others their last step only."""

    rated: int = 0

    def steps(self, response: str) -> tuple[str, ...]:
        return tuple(step.text for step in split_steps(response))

    def score(self, conversation: Conversation, responses: Sequence[str]) -> list[Judged]:
        self.rated += len(responses)
        scores = [self._of(text) for text in responses]
        return [Judged(0.0, each) for each in scores]

    def _of(self, text: str) -> tuple[float, ...]:
        count = len(self.steps(text))
        return (0.75,) * count if text == RIGHT else (0.25,) * (count - 1) + (1.0,) * (count > 0)


@pytest.fixture(autouse=True)
def beside_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def asked(texts: Sequence[str]) -> tuple[CandidateResults, Any]:
    from reward_model import Scorer

    scorer = Scorer(Checker())
    scores = scorer(ITEM.prompt("picture"), texts)
    read = [read_candidate(ITEM, text, None) for text in texts]
    candidates = [Candidate(answer, None, score) for (answer, _), score in zip(read, scores, strict=True)]
    one = OftenAsked(ITEM, tuple(candidates), tuple(graded for _, graded in read), (10,) * len(texts))
    return CandidateResults("picture", len(texts), 1, [one], 100, 2.0, 1.0), scorer


def test_a_response_that_is_said_twice_is_rated_once() -> None:
    found, scorer = asked([WRONG, RIGHT, WRONG, ""])
    assert scorer.critic.rated == 3
    assert [one.score for one in found.questions[0].candidates] == [0.625, 0.75, 0.625, 0.0]


def test_points_compare_rules_on_the_same_candidates() -> None:
    from reward_model import points

    found, scorer = asked([WRONG, RIGHT, WRONG, "red 99.\n\nnothing"])
    one, two, four = points(found, scorer.told)
    assert (one["candidates"], four["candidates"]) == (1, 4) and one["best, mean"] == 0 == four["majority"]
    assert four["best, min"] == four["any right"] == 100 and two["best, min"] == pytest.approx(33.33)
    assert four["tokens"] == 40 and four["seconds"] == 2 and four["critic_seconds"] == 1


def test_pairs_of_one_question_are_in_order_or_not() -> None:
    from reward_model import ordered

    assert ordered(asked([WRONG, RIGHT, WRONG])[0]) == 100
    assert ordered(asked([RIGHT, "a", "a\n\nb\n\nc"])[0]) == 50, "one is behind, one in front"
    assert ordered(asked([WRONG, WRONG])[0]) == 50, "there is no pair"


def test_steps_behind_a_wrong_one_are_wrong() -> None:
    from reward_model import judged

    count = len(split_steps(RIGHT))
    found, scorer = asked([RIGHT, WRONG])
    figures = judged(found, scorer)
    assert figures["steps"] == count + 2 and figures["macro"] == 100, "the least score so far is what counts"
    assert figures["share_wrong"] == pytest.approx(200 / (count + 2), abs=0.01)


def test_known_solutions_mark_steps_up_to_the_first_wrong_one(tmp_path: Path) -> None:
    from reward_model import SYSTEM, check

    (tmp_path / "steps").mkdir()
    first, *_, last = split_steps(RIGHT)
    said = f"{first.text}\n\nnonsense\n\n{last.text}"
    solution = {
        "question": "x",
        "answer": "7",
        "solution": RIGHT,
        "prompt_version": "plain",
        "response": said,
    }
    (tmp_path / "steps/solutions.jsonl").write_text(f"{json.dumps(solution)}\n")
    entry = json.loads(check(tmp_path).read_text())["checked"]
    talk = json.loads((tmp_path / "steps" / entry["annotation"]).read_text())
    told = [turn["value"] for turn in talk["conversations"] if turn["from"] == "gpt"]
    assert told == ["+", "-", "-"] and talk["conversations"][0]["value"] == SYSTEM and entry["length"] == 1


def test_the_tables_have_means_and_spreads() -> None:
    from reward_model import Settings, judged, points, table

    found, scorer = asked([WRONG, RIGHT])
    first = {"points": points(found, scorer.told), "steps": judged(found, scorer), "ordered": 50.0}
    other = {**first, "points": [{**point, "majority": 50.0} for point in first["points"]]}
    lines = table([first, other]).splitlines()
    assert lines[0].startswith("| N | majority | any right | best, mean |")
    assert lines[2].startswith("| 1 | 25.0 ± 35.4 | 0.0 ± 0.0 |") and lines[-1].count("|") == 7
    assert Settings("checked", "shipped", 0.25, 100).name == "checked_shipped_0.25_100"
