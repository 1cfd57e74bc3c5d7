"""Forms of records: the same conversation however it is written, and each form's own faults."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tessera.chat.message import Conversation, Image, Text, Video
from tessera.records.faults import DataError, Reason
from tessera.records.forms.detect import FORMS, FormName, detect, forms_of, parse_as
from tessera.records.record import RecordPlace
from tests.records.jsonl_files import turns

ROOT = Path("media")
PLACE = RecordPlace(Path("a.jsonl"), 3, ROOT)
PAGES = RecordPlace(Path("a.jsonl"), 3, ROOT, pretraining=True)
ASKED = ("What is it?", "A cat.")
USER = {"role": "user", "content": "<image>\nWhat is it?"}
ANSWER = {"role": "assistant", "content": "A cat."}


def parse(form: FormName, record: object, place: RecordPlace = PLACE) -> Conversation:
    return parse_as(form, record, place)


def reasons(form: FormName, record: object, place: RecordPlace = PLACE) -> list[tuple[str, Reason]]:
    with pytest.raises(DataError) as caught:
        parse(form, record, place)
    return [(fault.field, fault.reason) for fault in caught.value.faults]


SAME: list[tuple[FormName, dict[str, Any]]] = [
    ("internvl", {"image": "a.png", "conversations": turns("<image>\nWhat is it?", "A cat.")}),
    ("internvl", {"image": "a.png", "conversations": turns(*ASKED)}),
    ("llava", {"image": "a.png", "conversations": turns("What is it?\n<image>", "A cat.")}),
    ("llava", {"image": ["a.png"], "conversations": turns("What <image>is it?", "A cat.")}),
    ("sharegpt", {"images": ["a.png"], "conversations": turns("<image>\nWhat is it?", "A cat.")}),
    (
        "sharegpt",
        {"images": "a.png", "conversation": [{"human": "<image>\nWhat is it?", "assistant": "A cat."}]},
    ),
    ("sharegpt", {"images": ["a.png"], "texts": [{"user": ASKED[0], "assistant": ASKED[1], "source": "x"}]}),
    ("swift", {"images": ["a.png"], "messages": [USER, ANSWER]}),
    ("swift", {"images": ["a.png"], "query": "<image>\nWhat is it?", "response": "A cat."}),
    ("swift", {"image": "a.png", "instruction": "<image>", "input": "What is it?", "output": "A cat."}),
    (
        "openai",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "a.png"}},
                        {"type": "text", "text": "What is it?"},
                    ],
                },
                {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
            ]
        },
    ),
    (
        "openai",
        {
            "images": [{"path": "a.png", "bytes": None}],
            "messages": [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "\nWhat is it?"}]},
                ANSWER,
            ],
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("form", "record"), SAME)
def test_one_conversation_in_every_form(form: FormName, record: dict[str, Any]) -> None:
    user, answer = parse(form, record).messages
    (picture, *rest) = user.parts
    assert picture == Image(ROOT / "a.png")
    assert "".join(part.text for part in rest if isinstance(part, Text)) == "\nWhat is it?"
    assert (user.role, answer.role, answer.text, answer.trained) == ("user", "assistant", "A cat.", True)
    assert form in forms_of(record)


def test_detection_takes_the_form_that_all_records_share() -> None:
    text_only = {"conversations": turns("a", "b")}
    plain = {"messages": [{"role": "user", "content": "a"}, ANSWER]}
    clip = {"video": "a.mp4", "conversations": turns("<image>\nwhat?", "rain")}
    assert detect([text_only]) == "internvl"
    assert detect([text_only, {"images": [], **text_only}]) == "sharegpt"
    assert detect([text_only, clip]) == "llava"
    assert detect([plain]) == "openai"
    assert detect([plain, {"images": ["a"], "messages": [USER, ANSWER]}]) == "swift"
    assert detect([7, None, {"texts": ["a"], "images": [None]}]) == "document"
    assert detect([{"image": "a", "caption": "b"}]) == "caption"
    assert detect([{"foo": 1}, []]) is None


def test_every_form_is_found_by_its_own_examples() -> None:
    for form, record in SAME:
        assert detect([record]) in (form, "internvl")


def test_another_form_in_a_file_is_a_fault_and_so_is_an_unknown_one() -> None:
    other = {"messages": [USER, ANSWER], "images": ["a"]}
    assert reasons("internvl", other) == [("record", Reason.OTHER_FORM)]
    with pytest.raises(DataError, match=r"swift in a file of form internvl"):
        parse("internvl", other)
    with pytest.raises(DataError, match=r"unknown form \('question, answer'\); write .* 'query' and"):
        parse_as(None, {"question": "a", "answer": "b"}, PLACE)


@pytest.mark.parametrize("form", FORMS)
def test_a_record_must_be_an_object(form: FormName) -> None:
    for record in ([1], "x", None, 3.5):
        assert reasons(form, record) == [("record", Reason.BAD_FIELD)]


def test_llava_clips_are_marked_as_pictures_and_several_marks_stay() -> None:
    clip = parse("llava", {"video": "a.mp4", "conversations": turns("what? <image>", "rain")})
    assert clip.messages[0].parts == (Video(ROOT / "a.mp4"), Text("\nwhat?"))
    two = parse("llava", {"image": ["a", "b"], "conversations": turns("x <image> y <image>", "z")})
    assert [type(part) for part in two.messages[0].parts] == [Text, Image, Text, Image]


def test_several_clips_each_with_its_bounds_and_pictures_beside_them() -> None:
    record = {"image": "p.png", "video": ["a.mp4", "b.mp4"], "clip": [[1, 2.5], None]}
    for form in ("internvl", "llava"):
        talk = {**record, "conversations": turns("<video><video> and <image>", "three")}
        assert parse(form, talk).media == (  # type: ignore[arg-type]
            Video(ROOT / "a.mp4", 1.0, 2.5),
            Video(ROOT / "b.mp4"),
            Image(ROOT / "p.png"),
        )


@pytest.mark.parametrize(
    "clip",
    [
        *([[1, 2]], [1, 2], "1-2", [[2, 1], None], [[0, float("inf")], None]),
        *([[float("nan"), 1], None], [[0, 10**400], None], [[True, 2], None]),
    ],
)
def test_wrong_bounds_are_named(clip: object) -> None:
    record = {"video": ["a", "b"], "clip": clip, "conversations": turns("<video><video>", "x")}
    assert set(reasons("internvl", record)) == {("clip", Reason.BAD_FIELD)}


def test_base64_alone_is_a_picture_in_every_form() -> None:
    """It was a missing file, whose name of some megabytes stood in every message."""
    buffer = io.BytesIO()
    PIL.Image.effect_noise((20, 20), 90).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    for spelt in (
        text,
        text.rstrip("="),
        base64.encodebytes(buffer.getvalue()).decode(),
        f"DATA:;base64,{text}",
    ):
        records = {
            "internvl": {"image": spelt, "conversations": turns("<image>\nwhat?", "a cat")},
            "openai": {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": spelt}}]},
                    ANSWER,
                ]
            },
            "caption": {"image": spelt, "caption": "a cat"},
        }
        for form, record in records.items():
            (picture,) = parse(form, record).media
            assert picture.source == buffer.getvalue()
    broken = {"image": text[:100] + "!" + text[100:], "conversations": turns("<image>", "a cat")}
    assert reasons("internvl", broken) == [("image", Reason.BAD_FIELD)]


def test_openai_parts_bounds_inline_pictures_and_untrained_answers() -> None:
    inline = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    parts = [
        {"type": "text", "text": "first "},
        {"type": "image_url", "image_url": inline},
        {"type": "video", "video": "a.mp4", "start": 1, "end": 3},
    ]
    silent = {"role": "assistant", "content": "?", "weight": 0}
    record = {
        "messages": [{"role": "developer", "content": "be brief"}, {"role": "user", "content": parts}, silent]
    }
    system, user, answer = parse("openai", record).messages
    assert system.role == "system" and not answer.trained
    assert user.parts == (
        Text("first "),
        Image(b"\x89PNG"),
        Text("\n"),
        Video(ROOT / "a.mp4", 1.0, 3.0),
        Text("\n"),
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"type": "image"}], Reason.BAD_FIELD),
        ([{"type": "image", "image": "data:image/png;base64,%%%"}], Reason.BAD_FIELD),
        ([{"type": "image", "image": "http://x/y.png"}], Reason.OUTSIDE_ROOT),
        ([{"type": "image", "image": "file:///etc/passwd"}], Reason.OUTSIDE_ROOT),
        ([{"type": "audio"}], Reason.BAD_FIELD),
        ([{"type": "video", "video": "a", "start": 3, "end": 1}], Reason.BAD_FIELD),
        ([{"type": "text"}], Reason.BAD_FIELD),
        ([], Reason.BAD_FIELD),
        ("  ", Reason.EMPTY_QUESTION),
        (7, Reason.BAD_FIELD),
    ],
)
def test_faults_of_openai_content(content: object, expected: Reason) -> None:
    record = {"messages": [{"role": "user", "content": content}, ANSWER]}
    assert expected in {reason for _, reason in reasons("openai", record)}


def test_openai_files_that_no_part_takes_and_pictures_in_answers() -> None:
    spare = {"images": ["a", "b"], "messages": [{"role": "user", "content": [{"type": "image"}]}, ANSWER]}
    assert reasons("openai", spare) == [("images", Reason.MARK_COUNT)]
    shown = [{"type": "image", "image": "a"}, {"type": "text", "text": "x"}]
    record = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": shown}]}
    assert ("messages[1].content", Reason.BAD_FIELD) in reasons("openai", record)
    tool = {"messages": [{"role": "user", "content": "?"}, {"role": "tool", "content": "!"}, ANSWER]}
    assert reasons("openai", tool) == [("messages[1].role", Reason.UNKNOWN_ROLE)]


def test_sharegpt_system_text_and_refused_roles() -> None:
    record = {"system": "be brief", "conversations": turns("a", "b")}
    assert [m.role for m in parse("sharegpt", record).messages] == ["system", "user", "assistant"]
    twice = {"system": "x", "conversations": [{"from": "system", "value": "y"}, *turns("a", "b")]}
    assert reasons("sharegpt", twice) == [("system", Reason.ROLE_ORDER)]
    call = {"from": "function_call", "value": "{}"}
    record = {"conversations": [*turns("a"), call]}
    assert reasons("sharegpt", record) == [("conversations[1].from", Reason.UNKNOWN_ROLE)]


def test_swift_puts_missing_marks_in_front_reads_history_and_losses() -> None:
    """A line break follows every picture, as in ms-swift's template for InternVL and as chat asks messages.

    `<image>What` was trained as `</img>What` once, while chat asked `</img>\\nWhat`.
    """
    messages = [{"role": "user", "content": "what?"}, {**ANSWER, "loss": False}]
    conversation = parse("swift", {"images": ["a", "b"], "messages": messages})
    line = Text("\n")
    assert conversation.messages[0].parts == (
        *(Image(ROOT / "a"), line),
        *(Image(ROOT / "b"), line, Text("what?")),
    )
    assert not conversation.messages[1].trained
    record = {"query": "c", "response": "d", "history": [["a", "b"]], "system": "s"}
    assert [m.text for m in parse("swift", record).messages] == ["s", "a", "b", "c", "d"]
    assert ("image", Reason.MARK_COUNT) in reasons("swift", {"audios": ["a"], "messages": [USER, ANSWER]})


def test_swift_objects_become_references_and_boxes(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    place = RecordPlace(Path("a.jsonl"), 1, tmp_path)
    said = {"role": "assistant", "content": "<ref-object> at <bbox>, then <bbox>"}
    record = {
        "images": ["a.png"],
        "messages": [{"role": "user", "content": "<image>find"}, said],
        "objects": {"ref": ["the dog"], "bbox": [[20, 10, 100, 50], [0, 0, 200, 100]]},
    }
    expected = "<ref>the dog</ref> at <box>[[100, 100, 500, 500]]</box>, then <box>[[0, 0, 1000, 1000]]</box>"
    assert parse("swift", record, place).messages[1].text == expected
    record["objects"] = {"ref": ["a"], "bbox": [[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]], "bbox_type": "norm1"}
    assert "<box>[[100, 200, 300, 400]]</box>" in parse("swift", record, place).messages[1].text
    for objects, reason in (
        ({"ref": ["a"], "bbox": [[1, 2, 3, 4]]}, Reason.MARK_COUNT),
        ({"ref": ["a"], "bbox": [[1, 2, 900, 4], [1, 2, 3, 4]]}, Reason.BAD_BOX),
        ({"ref": ["a"], "bbox": [[float("nan"), 2, 9, 4], [1, 2, 3, 4]]}, Reason.BAD_BOX),
        ({"ref": [3], "bbox": [[1, 2, 3, 4], [1, 2, 3, 4]]}, Reason.BAD_FIELD),
        ({"ref": ["a"], "bbox": [[1, 2, 3, 4], [1, 2, 3, 4]], "image_id": [0, 5]}, Reason.BAD_FIELD),
        ([], Reason.MARK_COUNT),
        ([7], Reason.BAD_FIELD),
    ):
        assert reason in {r for _, r in reasons("swift", {**record, "objects": objects}, place)}


def test_documents_keep_their_order_and_need_pretraining() -> None:
    record = {"images": ["a.png", None, "b.png", None], "texts": [None, "one", None, "two"]}
    (message,) = parse("document", record, PAGES).messages
    line = Text("\n")
    assert message.parts == (
        *(Image(ROOT / "a.png"), line, Text("one"), line),
        *(Image(ROOT / "b.png"), line, Text("two")),
    )
    assert reasons("document", record) == [("record", Reason.DOCUMENT)]


def test_mmc4_pictures_stand_before_their_sentences() -> None:
    info = [
        {"image_name": "b.png", "matched_text_index": 1},
        {"image_name": "a.png", "matched_text_index": 0},
    ]
    record = {"text_list": ["one", "two"], "image_info": info}
    (message,) = parse("document", record, PAGES).messages
    said = [p.text if isinstance(p, Text) else Path(str(p.source)).name for p in message.parts]
    assert [text for text in said if text != "\n"] == ["a.png", "one", "b.png", "two"]
    info[0]["matched_text_index"] = 9
    assert reasons("document", record, PAGES) == [("image_info[0]", Reason.BAD_FIELD)]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"images": ["a"], "texts": ["x"]}, Reason.BAD_FIELD),
        ({"images": ["a"], "texts": [None, "x"]}, Reason.BAD_FIELD),
        ({"images": [None], "texts": [None]}, Reason.EMPTY_DOCUMENT),
        ({"images": ["../a", None], "texts": [None, "x"]}, Reason.OUTSIDE_ROOT),
    ],
)
def test_faults_of_documents(record: dict[str, Any], reason: Reason) -> None:
    assert reason in {r for _, r in reasons("document", record, PAGES)}


def test_captions_answer_a_picture_or_follow_it() -> None:
    record = {"image": "a.png", "caption": "a cat, <image>"}
    user, answer = parse("caption", record).messages
    assert user.parts == (Image(ROOT / "a.png"),) and answer.text == "a cat, <image>"
    (page,) = parse("caption", record, PAGES).messages
    assert page.parts == (Image(ROOT / "a.png"), Text("\na cat, <image>"))
    assert reasons("caption", {"caption": "alone"}) == [("image", Reason.BAD_FIELD)]


def test_conversations_in_pretraining_need_no_questions() -> None:
    """The line break of ms-swift's template stands in pre-training, too."""
    said = {"role": "assistant", "content": "<image> is a puppy"}
    (message,) = parse("swift", {"images": ["a.png"], "messages": [said]}, PAGES).messages
    assert message.parts == (Image(ROOT / "a.png"), Text("\n"), Text(" is a puppy"))


def test_the_system_text_of_a_source_goes_to_records_without_one() -> None:
    place = RecordPlace(Path("a.jsonl"), 1, ROOT, system="be kind")
    own = [{"from": "system", "value": "own"}, *turns("a", "b")]
    for form in ("internvl", "llava", "sharegpt"):
        assert parse(form, {"conversations": turns("a", "b")}, place).messages[0].text == "be kind"  # type: ignore
        assert parse(form, {"conversations": own}, place).messages[0].text == "own"  # type: ignore[arg-type]
    record = {"messages": [{"role": "user", "content": "a"}, ANSWER]}
    for form in ("openai", "swift"):
        assert parse(form, record, place).messages[0].text == "be kind"  # type: ignore[arg-type]


def test_pictures_of_every_form_share_the_tile_limit() -> None:
    place = RecordPlace(Path("a.jsonl"), 1, ROOT, max_tiles=12)
    for form, record in SAME:
        (picture,) = parse(form, record, place).media
        assert isinstance(picture, Image) and picture.max_tiles == 12


def test_characters_that_are_no_text() -> None:
    bad = {"conversations": turns("a\ud800b", "x\0y"), "image": "a\udfff.png"}
    assert reasons("internvl", bad) == [
        ("conversations[0].value", Reason.LONE_SURROGATE),
        ("conversations[1].value", Reason.NUL),
        ("image", Reason.LONE_SURROGATE),
    ]
