"""Records of InternVL's JSONL format as conversations, and the faults they may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tessera.chat.message import Conversation, Image, Text, Video
from tessera.records.faults import DataError, Reason
from tessera.records.forms.detect import FORMS
from tessera.records.record import RecordPlace
from tests.records.jsonl_files import turns

ROOT = Path("media")
PLACE = RecordPlace(Path("a.jsonl"), 3, ROOT, max_tiles=12)


def parse(**record: Any) -> Conversation:
    return FORMS["internvl"].parse(record, PLACE)


def reasons(**record: Any) -> list[tuple[str, Reason]]:
    with pytest.raises(DataError) as caught:
        parse(**record)
    assert all(fault.line == 3 and fault.file == Path("a.jsonl") for fault in caught.value.faults)
    return [(fault.field, fault.reason) for fault in caught.value.faults]


def test_text_only() -> None:
    conversation = parse(id=0, conversations=turns("hello", "good day", "bye", "so long"))
    assert [m.role for m in conversation.messages] == ["user", "assistant", "user", "assistant"]
    assert conversation.media == ()


def test_marks_stand_where_the_pictures_go() -> None:
    conversation = parse(image=["a.png", "b.png"], conversations=turns("x <image> y", "1", "<image>", "2"))
    first, _, third, _ = conversation.messages
    assert first.parts == (Text("x "), Image(ROOT / "a.png", 6), Text(" y"))
    assert third.parts == (Image(ROOT / "b.png", 6),)


def test_a_missing_mark_is_put_in_front() -> None:
    conversation = parse(image="a.png", conversations=turns("what is it?", "a cat"))
    assert conversation.messages[0].parts == (Image(ROOT / "a.png", 12), Text("\nwhat is it?"))
    conversation = parse(video="a.mp4", conversations=turns("what happens?", "rain"))
    assert conversation.messages[0].parts == (Video(ROOT / "a.mp4"), Text("\nwhat happens?"))


def test_a_missing_mark_goes_behind_the_system_turn() -> None:
    system = {"from": "system", "value": "be brief"}
    conversation = parse(image="a.png", conversations=[system, *turns("what?", "a cat")])
    assert conversation.messages[0].parts == (Text("be brief"),)
    assert conversation.messages[1].parts[0] == Image(ROOT / "a.png", 12)


def test_many_pictures_share_the_tile_limit_but_keep_one() -> None:
    paths = [f"{number}.png" for number in range(30)]
    conversation = parse(image=paths, conversations=turns("<image>" * 30, "many"))
    assert {part.max_tiles for part in conversation.media if isinstance(part, Image)} == {1}


def test_clip_bounds() -> None:
    conversation = parse(video="a.mp4", clip=[1, 2.5], conversations=turns("<video>\nwhat?", "rain"))
    assert conversation.media == (Video(ROOT / "a.mp4", 1.0, 2.5),)


def test_picture_and_clip_in_one_record() -> None:
    record = {"image": "a.png", "video": "b.mp4"}
    conversation = parse(**record, conversations=turns("<video> and <image>", "both"))
    assert [type(part) for part in conversation.media] == [Video, Image]


def test_marks_in_answers_are_words() -> None:
    conversation = parse(conversations=turns("which mark?", "write <image> there"))
    assert conversation.messages[1].parts == (Text("write <image> there"),)


@pytest.mark.parametrize("path", ["/x/a.png", "../a.png", "a/../../b.png", "s3://bucket/a.png"])
def test_a_path_must_stay_below_the_root(path: str) -> None:
    assert reasons(image=path, conversations=turns("<image>", "a cat")) == [("image", Reason.OUTSIDE_ROOT)]


def test_an_absolute_path_below_the_root_passes() -> None:
    record = {"image": "/x/a.png", "conversations": turns("<image>", "a cat")}
    for root in (Path("/x"), Path("/")):
        conversation = FORMS["internvl"].parse(record, RecordPlace(Path("a.jsonl"), 1, root))
        assert conversation.media == (Image(Path("/x/a.png")),)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, ("conversations", Reason.BAD_FIELD)),
        ({"conversations": []}, ("conversations", Reason.BAD_FIELD)),
        ({"conversations": ["hi"]}, ("conversations[0]", Reason.BAD_FIELD)),
        ({"conversations": [{"from": "bot", "value": "x"}]}, ("conversations[0].from", Reason.UNKNOWN_ROLE)),
        ({"conversations": turns("a", " \n")}, ("conversations[1].value", Reason.EMPTY_ANSWER)),
        ({"conversations": turns("", "b")}, ("conversations[0].value", Reason.EMPTY_QUESTION)),
        ({"conversations": turns("a")}, ("conversations[0].from", Reason.ROLE_ORDER)),
        ({"conversations": turns("a", "b")[::-1]}, ("conversations[0].from", Reason.ROLE_ORDER)),
        ({"conversations": turns("<image>", "b")}, ("image", Reason.MARK_COUNT)),
        ({"image": ["a", "b"], "conversations": turns("<image>", "b")}, ("image", Reason.MARK_COUNT)),
        ({"image": "a", "conversations": turns("<image><image>", "b")}, ("image", Reason.MARK_COUNT)),
        ({"image": 7, "conversations": turns("a", "b")}, ("image", Reason.BAD_FIELD)),
        ({"video": "a", "clip": [3, 1], "conversations": turns("a", "b")}, ("clip", Reason.BAD_FIELD)),
        ({"clip": [1, 3], "conversations": turns("a", "b")}, ("clip", Reason.BAD_FIELD)),
    ],
)
def test_faults_are_named(record: dict[str, Any], expected: tuple[str, Reason]) -> None:
    assert reasons(**record) == [expected]


def test_all_faults_of_a_record_are_told() -> None:
    found = reasons(image=["a", "b"], conversations=turns("<image>", "<box>[[9, 0, 1, 1]]</box>", "", " "))
    assert {reason for _, reason in found} == {
        Reason.BAD_BOX,
        Reason.EMPTY_QUESTION,
        Reason.EMPTY_ANSWER,
        Reason.MARK_COUNT,
    }


def test_a_record_must_be_an_object() -> None:
    with pytest.raises(DataError, match="list instead of an object"):
        FORMS["internvl"].parse([1], PLACE)


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ("[[0, 0, 1001, 5]]", "leaves 0 to 1000"),
        ("[[-1, 0, 10, 5]]", "leaves 0 to 1000"),
        ("[[10, 0, 5, 5]]", "is inverted"),
        ("[[0.1, 0.2, 0.5, 0.9]]", "multiply by 1000"),
        ("[[1, 2, 3]]", "is not four numbers"),
        ("[1, 2, 3, 4]", "is not four numbers"),
        ("somewhere", "is not a list of boxes"),
        ("[[0, 0, 5, 5], [7, 7, 3, 9]]", "is inverted"),
    ],
)
def test_boxes_of_answers_are_checked(box: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        parse(conversations=turns("where?", f"<ref>it</ref><box>{box}</box>"))


def test_good_boxes_and_examples_in_questions_pass() -> None:
    question = "answer as <box>[[x1, y1, x2, y2]]</box>, not as <box>[[0, 1, 5, 9]]</box>"
    parse(conversations=turns(question, "<ref>it</ref><box>[[0, 0, 1000, 1000], [5, 5, 5, 5]]</box>"))


def test_an_unclosed_box_is_a_fault() -> None:
    with pytest.raises(DataError, match="1 <box> but 0 </box>"):
        parse(conversations=turns("where?", "<box>[[0, 0, 1, 1]]"))
