"""Marked solutions as records: raw as published, and as talks that train a judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tessera.align.preferences.response import SampledResponse
from tessera.align.process.continuing import MarkedStep
from tessera.align.process.talk import RIGHT, SYSTEM, WRONG, judging_talk
from tessera.chat.message import IMAGE_MARK, Text
from tessera.records.forms.detect import FORMS
from tessera.records.record import RecordPlace
from tessera.records.writing import internvl_record, marked_turns


def marked_record(
    response: SampledResponse, steps: Sequence[MarkedStep], continuations: int
) -> dict[str, Any]:
    """What VisualPRM400K's raw files hold: the response's record with its steps."""
    original = {"question_orig": response.record.get("question_orig", response.prompt)}
    marks = {"num_mc_sequences": continuations, **response.record}
    return {**original, **marks, "steps_with_score": [vars(step) for step in steps]}


def step_talk(
    number: int,
    response: SampledResponse,
    steps: Sequence[MarkedStep],
    threshold: float,
    ends: bool = False,
    system: str = SYSTEM,
) -> dict[str, Any]:
    """A turn a step, + where its score is above the threshold.

    ends: train the token that ends a turn. system: what the judge is told first.
    """
    labels = [label_of(step.score, threshold) for step in steps]
    return _record(number, response, [step.step for step in steps], labels, ends, system)


def outcome_talk(
    number: int,
    response: SampledResponse,
    steps: Sequence[MarkedStep],
    threshold: float,
    ends: bool = False,
    system: str = SYSTEM,
) -> dict[str, Any]:
    """The whole response in one turn, with the label of its last step (an outcome reward model)."""
    label = label_of(steps[-1].score, threshold)
    return _record(number, response, [response.text], [label], ends, system)


def label_of(score: float, threshold: float) -> str:
    """+ above the threshold, else -."""
    return RIGHT if score > threshold else WRONG


def question_of(prompt: str, pictures: int) -> str:
    """A prompt with a mark for each picture: all at its only mark, or on lines in front where it has none.

    Where it has another number of marks than that they stay (`Solutions` refuses them).
    """
    if IMAGE_MARK not in prompt:
        return f"{IMAGE_MARK}\n" * pictures + prompt
    return prompt.replace(IMAGE_MARK, IMAGE_MARK * pictures) if prompt.count(IMAGE_MARK) == 1 else prompt


def require_readable(record: dict[str, Any], file: Path, line: int, media: Path) -> None:
    """DataError where training can't read a record, such as a step that holds the mark of a picture."""
    FORMS["internvl"].parse(record, RecordPlace(file, line, media))


def _record(
    number: int,
    response: SampledResponse,
    steps: Sequence[str],
    labels: Sequence[str],
    ends: bool,
    system: str,
) -> dict[str, Any]:
    question = question_of(response.prompt, len(response.pictures))
    turns = marked_turns(judging_talk([Text(question)], steps, labels, system))
    record = internvl_record(number, turns, images=response.pictures)
    return record if ends else {**record, "train_turn_ends": False}
