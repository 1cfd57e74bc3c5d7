"""Records with two answers: one conversation however they are written, and the faults of each form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tessera.chat.message import Conversation, Image, Video
from tessera.records.faults import DataError, Reason
from tessera.records.forms.detect import FormName, detect, forms_of, parse_as
from tessera.records.record import RecordPlace

PLACE = RecordPlace(Path("a.jsonl"), 3, Path("media"))
MMPR = {"image": "a.png", "question": "<image>\nWhat is it?", "chosen": "A cat.", "rejected": "A dog."}

SAME: list[tuple[FormName, dict[str, Any]]] = [
    ("mmpr", MMPR),
    ("mmpr", MMPR | {"image": ["a.png"], "question": "What is it?"}),
    ("mmpr", MMPR | {"answer_gt": "cat", "chosen_meta": {"model": "a"}, "rejected_meta": None, "why": {}}),
]


def parse(form: FormName, record: object, place: RecordPlace = PLACE) -> Conversation:
    return parse_as(form, record, place)


def reasons(form: FormName, record: object) -> list[tuple[str, Reason]]:
    with pytest.raises(DataError) as caught:
        parse(form, record)
    return [(fault.field, fault.reason) for fault in caught.value.faults]


@pytest.mark.parametrize(("form", "record"), SAME)
def test_one_pair_in_every_form(form: FormName, record: dict[str, Any]) -> None:
    assert detect([record]) == form
    talk = parse(form, record)
    assert [message.role for message in talk.messages] == ["user", "assistant"]
    assert [answer.text for answer in talk.answers] == ["A cat.", "A dog."]
    assert talk.messages[0].parts[0] == Image(Path("media/a.png"))
    assert talk.messages[0].text == "\nWhat is it?"


def test_mmpr_without_pictures_with_several_and_with_a_clip() -> None:
    words = parse("mmpr", {"question": "1 + 1?", "chosen": "2", "rejected": "3"})
    assert words.media == ()
    several = {"image": ["a.png", "b.png"], "question": "<image>, then <image>. Which?"}
    assert len(parse("mmpr", MMPR | several).media) == 2
    clip = {"image": None, "video": "c.mp4", "question": "<video>\nWhat happens?"}
    assert isinstance(parse("mmpr", MMPR | clip).media[0], Video)


FAULTS: list[tuple[dict[str, Any], tuple[str, Reason]]] = [
    ({"rejected": "A cat."}, ("rejected", Reason.SAME_ANSWER)),
    ({"rejected": " A cat.\n"}, ("rejected", Reason.SAME_ANSWER)),
    ({"rejected": ""}, ("rejected", Reason.EMPTY_ANSWER)),
    ({"chosen": "  "}, ("chosen", Reason.EMPTY_ANSWER)),
    ({"chosen": None}, ("chosen", Reason.BAD_FIELD)),
    ({"rejected": ["A dog."]}, ("rejected", Reason.BAD_FIELD)),
    ({"question": ""}, ("question", Reason.EMPTY_QUESTION)),
    ({"question": "<image> and <image>"}, ("image", Reason.MARK_COUNT)),
    ({"image": None}, ("image", Reason.MARK_COUNT)),
    ({"rejected": "a\0b"}, ("rejected", Reason.NUL)),
]


@pytest.mark.parametrize(("change", "fault"), FAULTS)
def test_faults_of_mmpr(change: dict[str, Any], fault: tuple[str, Reason]) -> None:
    given = MMPR | change
    if "question" in change and not change["question"]:
        given = given | {"image": None}
    assert reasons("mmpr", given) == [fault]


def test_every_fault_of_a_pair_is_told() -> None:
    assert reasons("mmpr", MMPR | {"chosen": "", "rejected": "", "question": "<image> <image>"}) == [
        ("chosen", Reason.EMPTY_ANSWER),
        ("rejected", Reason.EMPTY_ANSWER),
        ("image", Reason.MARK_COUNT),
    ]


def test_turn_ends_are_left_out_of_both_answers() -> None:
    talk = parse("mmpr", MMPR | {"train_turn_ends": False})
    assert [answer.end_trained for answer in talk.answers] == [False, False]


def test_a_pair_is_no_document() -> None:
    with pytest.raises(
        DataError, match=r"chosen: bad field \(answers to choose among\); remove 'pretraining'"
    ):
        parse("mmpr", MMPR, RecordPlace(Path("a.jsonl"), 1, Path("media"), pretraining=True))


def test_an_answered_question_is_no_pair() -> None:
    assert forms_of({"question": "1 + 1?", "answer": "2"}) == ()
