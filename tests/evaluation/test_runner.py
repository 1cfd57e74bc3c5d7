"""The runner: every question asked once, graded by its own rule, counted per task and kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tessera.chat.message import Conversation
from tessera.evaluation.interval import wilson_interval
from tessera.evaluation.runner import Proportion, TaskResults, evaluate, grade_answer
from tessera.evaluation.tasks import heldout_items
from tests.evaluation.doubles import FakeEncoder, FakeEngine

COUNT = 12
TASKS = ("count", "box", "arithmetic")


def oracle(right_share: float = 1.0) -> Any:
    """A rule that knows the answer of every held-out question, and gives it the first part of the time."""
    known = {}
    for task in TASKS:
        items = heldout_items(task, COUNT)
        for index, item in enumerate(items):
            knows = index < round(right_share * len(items))
            known[item.prompt("blind").messages[0].text, item.scene.caption] = knows, item
    by_text: dict[str, list[tuple[bool, Any]]] = {}
    for (text, _), entry in known.items():
        by_text.setdefault(text, []).append(entry)

    def rule(conversation: Conversation) -> str:
        question = conversation.messages[0].text.strip()
        knows, item = by_text[question].pop(0)
        return item.question.answer if knows else "nothing"

    return rule


def run(rule: Any, **more: Any) -> tuple[TaskResults, FakeEngine]:
    engine = FakeEngine(rule)
    return evaluate(engine, FakeEncoder(), TASKS, COUNT, **more), engine  # type: ignore[arg-type]


def test_right_answers_give_full_marks() -> None:
    results, _ = run(oracle())
    assert results.mean() == 1.0
    assert results.tasks["arithmetic"].steps.accuracy == 1.0
    assert set(results.tasks) == set(TASKS)


def test_half_right_gives_half() -> None:
    results, _ = run(oracle(0.5))
    assert results.mean() == 0.5
    assert sum(share.right for share in results.tasks["arithmetic"].kinds.values()) == COUNT // 2


def test_final_value_and_steps_are_graded_apart() -> None:
    item = next(i for i in heldout_items("arithmetic", 30) if i.question.kind == "bar_sum")
    by_luck = grade_answer(item, item.question.final)
    assert by_luck.right and by_luck.steps is False


def test_reasoning_is_graded_by_its_announced_answer_and_its_steps() -> None:
    item = heldout_items("reason", 1)[0]
    good, final = item.question.answer, item.question.final
    assert (grade_answer(item, good).right, grade_answer(item, good).steps) == (True, True)
    by_luck = grade_answer(item, f"red 99.\n\nFinal answer: {final}")
    assert (by_luck.right, by_luck.steps) == (True, False)
    assert not grade_answer(item, final).right


def test_batches_cover_every_question_once() -> None:
    seen: list[tuple[int, int]] = []
    _, engine = run(lambda _: "red", batch=10, progress=lambda _, done, total: seen.append((done, total)))
    assert engine.batches == [10, 10, 10, 6]
    assert seen == [(10, 36), (20, 36), (30, 36), (36, 36)]


def test_blind_prompts_hold_no_picture() -> None:
    def rule(conversation: Conversation) -> str:
        assert not conversation.media
        return "red"

    results, _ = run(rule, mode="blind")
    assert results.mode == "blind"


def test_summary_is_plain_json() -> None:
    results, _ = run(oracle(0.5))
    summary = json.loads(json.dumps(results.summary()))
    assert summary["tasks"]["count"]["right"] == COUNT // 2
    assert summary["settings"]["template"] == "fake"
    assert summary["settings"]["level"] == 2


def test_wilson_interval_against_known_values() -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="right: 3"):
        wilson_interval(3, 2)


def test_share_of_nothing_is_zero() -> None:
    assert Proportion(0, 0).accuracy == 0.0
