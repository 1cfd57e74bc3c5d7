"""Held-out questions: reproducible, balanced, apart from training, and free of their own answers."""

from __future__ import annotations

from collections import Counter

import pytest

from tessera.chat.message import Image, Text
from tessera.evaluation.tasks import choose_tasks, heldout_items
from tessera.playground.scene import TASKS
from tessera.records.manifest import PlaygroundSource
from tessera.records.readers.playground import PlaygroundReader


@pytest.mark.parametrize("task", list(TASKS))
def test_every_question_belongs_to_its_task(task: str) -> None:
    items = heldout_items(task, 20)
    assert len(items) == 20
    assert {item.question.task for item in items} == {task}


def test_fewer_questions_are_the_beginning_of_more() -> None:
    few, many = heldout_items("count", 5), heldout_items("count", 15)
    assert [item.question for item in few] == [item.question for item in many[:5]]


@pytest.mark.parametrize("task", ["relation", "chart", "order", "arithmetic"])
def test_kinds_come_equally_often(task: str) -> None:
    """`order` once asked 92 of 200 times for the number of frames, the one question every clip allows."""
    kinds = Counter(item.question.kind for item in heldout_items(task, 120))
    assert max(kinds.values()) <= 120 / len(kinds) + 3


def test_frequent_answers_earn_little() -> None:
    finals = Counter(item.question.final for item in heldout_items("count", 120))
    assert finals.most_common(1)[0][1] / 120 < 0.25


@pytest.mark.parametrize("mode", ["picture", "blind"])
def test_the_prompt_is_one_question(mode: str) -> None:
    item = heldout_items("attribute", 1)[0]
    (message,) = item.prompt(mode).messages  # type: ignore[arg-type]
    assert message.role == "user"
    assert message.parts[-1] == Text(item.question.text)
    assert len(item.prompt(mode).media) == (1 if mode == "picture" else 0)  # type: ignore[arg-type]


def test_no_picture_is_in_training() -> None:
    reader = PlaygroundReader(PlaygroundSource(suites={"shapes": 1.0}))
    seen = {_pixels(part) for i in range(300) for part in reader.conversation(i).media}
    held = {_pixels(part) for item in heldout_items("count", 100) for part in item.scene.media}
    assert len(held) == 100
    assert not seen & held


def _pixels(part: object) -> bytes:
    assert isinstance(part, Image)
    return part.source.tobytes()  # type: ignore[union-attr]


def test_unknown_task_and_empty_count_are_named() -> None:
    with pytest.raises(ValueError, match="tasks: colour unknown; choose from attribute"):
        choose_tasks(["colour"])
    with pytest.raises(ValueError, match="count: 0"):
        heldout_items("count", 0)
