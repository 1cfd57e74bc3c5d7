"""What a record nearly says: empty values, words like marks, marks of other tools, keys that look needed."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tessera.chat.marks import foreign_marks, in_place
from tessera.chat.message import Conversation, Image, Text
from tessera.records.faults import DataError, Reason, RecordFault
from tessera.records.forms.detect import FORMS, FormName, detect, parse_as
from tessera.records.manifest import DatasetSpec
from tessera.records.readers.records import RecordReader
from tessera.records.record import RecordPlace
from tests.records.jsonl_files import turns, write_picture, write_records

ROOT = Path("media")
PLACE = RecordPlace(Path("a.jsonl"), 1, ROOT)
NAN = float("nan")
EMPTY = ["", "  ", None, NAN, [], [""], [None], {}, [{}], {"bytes": None, "path": None}, [[]], b""]
FORM_OF = {"conversations": "internvl", "texts": "sharegpt", "messages": "swift", "query": "swift"}


def asked(question: str, answer: str = "A cat.") -> list[dict[str, Any]]:
    """One talk in every form whose texts hold marks, and as messages of parts."""
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    parts = [{"role": "user", "content": [{"type": "text", "text": question}]}, said[1]]
    return [
        {"conversations": turns(question, answer)},
        {"conversation": [{"human": question, "assistant": answer}]},
        {"texts": [{"user": question, "assistant": answer}]},
        {"messages": said},
        {"query": question, "response": answer},
        {"messages": parts},
    ]


def parse(record: dict[str, Any], place: RecordPlace = PLACE) -> Conversation:
    return parse_as(detect([record]), record, place)


def faults(record: dict[str, Any], place: RecordPlace = PLACE) -> tuple[RecordFault, ...]:
    with pytest.raises(DataError) as caught:
        parse(record, place)
    return caught.value.faults


def read(record: dict[str, Any], place: RecordPlace = PLACE) -> list[Reason]:
    """The reasons why a record is refused; none for a sound one."""
    try:
        parse(record, place)
    except DataError as error:
        return [fault.reason for fault in error.faults]
    return []


@pytest.mark.parametrize("value", EMPTY, ids=repr)
@pytest.mark.parametrize("key", ["image", "images", "video", "videos"])
def test_an_empty_value_names_no_file(key: str, value: object) -> None:
    """`"image": ""` is how text-only records are written; it was refused as no path."""
    for record in asked("Who are you?"):
        assert parse({**record, key: value}).media == ()
    for record in asked("<image><video>\nWhat is it?"):
        assert set(read({**record, key: value})) == {Reason.MARK_COUNT}


def test_an_empty_entry_between_files_is_named() -> None:
    for value in ("", " ", None, NAN, {}):
        record = {"image": ["a.png", value], "conversations": turns("<image><image>", "x")}
        (fault,) = faults(record)
        assert (fault.field, fault.reason) == ("image[1]", Reason.BAD_FIELD) and "leave the entry" in str(
            fault
        )
    (fault,) = faults({"image": "None", "conversations": turns("Who?", "I.")})
    assert "write null" in fault.remedy


def test_an_empty_plural_does_not_hide_the_singular() -> None:
    """`images: []` beside `image: a.png` dropped the picture."""
    for record in asked("<image>\nWhat?")[:5]:
        assert parse({**record, "images": [], "image": "a.png"}).media == (Image(ROOT / "a.png"),)
    both = {"images": ["b.png"], "image": "a.png", "texts": [{"user": "<image>", "assistant": "x"}]}
    assert "both name files" in str(faults(both)[0])


def test_gaps_of_data_frames_under_other_keys() -> None:
    for gap in (None, NAN, "", [], {}):
        record = {"system": gap, "clip": gap, "objects": gap, "history": gap, "audios": gap}
        assert len(parse({**record, "query": "a", "response": "b"}).messages) == 2
    assert parse({"instruction": "a", "input": NAN, "output": "b"}).messages[0].text == "a"
    page = RecordPlace(Path("a"), 1, ROOT, pretraining=True)
    record = {"images": ["a.png", ""], "texts": [NAN, "x"]}
    assert [type(part) for part in parse(record, page).messages[0].parts] == [Image, Text, Text]


WORDS = ["What does <image> stand for?", "I tried a bare <video>.", 'See <video src="a.mp4"> and <image>?']
PLACES = ["<image>\nWhat?", "What?\n<video>", "<image> <image> Which?", "Image-1: <image>\nWhat?", " <image>"]


def test_marks_in_sentences_without_files_are_words() -> None:
    """Questions about HTML and templates were refused: 1 <video> in human turns, 0 files."""
    for question in WORDS:
        for record in asked(question, "Write <image> there."):
            talk = parse(record)
            assert talk.media == () and talk.messages[0].parts == (Text(question),)
            assert talk.messages[1].text == "Write <image> there."


def test_a_mark_in_the_place_of_a_file_that_is_not_named_is_a_fault() -> None:
    for question in PLACES:
        for record in asked(question):
            (fault, *_) = faults(record)
            assert fault.reason is Reason.MARK_COUNT and "text_only: true" in fault.remedy, record
            for place in (RecordPlace(Path("a"), 1, ROOT, text_only=True), PLACE):
                declared = {**record, "text_only": None if place.text_only else True}
                assert parse(declared, place).messages[0].text == question
    assert not in_place("the tag <image>", "<image>")


def test_what_is_declared_text_only_names_no_file() -> None:
    for record in asked("Who?")[:5]:
        assert read({**record, "image": "a.png", "text_only": True})
    assert read({"conversations": turns("a", "b"), "text_only": "yes"}) == [Reason.BAD_FIELD]


def test_a_record_says_that_ends_of_turns_are_not_trained() -> None:
    for given, trained in ((False, False), (True, True), (None, True)):
        record = {"conversations": turns("a", "+", "b", "-"), "train_turn_ends": given}
        assert [m.end_trained for m in parse(record).messages] == [trained] * 4
    source = RecordPlace(Path("a"), 1, ROOT, train_turn_ends=False)
    for given, trained in ((None, False), (True, True)):
        record = {"conversations": turns("a", "+"), "train_turn_ends": given}
        assert [m.end_trained for m in parse(record, source).messages] == [trained] * 2
    (fault,) = faults({"conversations": turns("a", "+"), "train_turn_ends": "no"})
    assert fault.field == "train_turn_ends" and "'no' is not true or false" in str(fault)


def test_a_picture_does_not_turn_words_into_marks_of_clips() -> None:
    record = {"image": "a.png", "conversations": turns("<image>\nIs it a <video> tag?", "No.")}
    assert parse(record).messages[0].parts[1] == Text("\nIs it a <video> tag?")
    (fault,) = faults({**record, "conversations": turns("<video>\nWhat?", "No.")})
    assert fault.field == "video" and "text_only" not in fault.remedy


FOREIGN = [
    *("<image_1>", "<image1>", "<|image_1|>", "<|image|>", "<ImageHere>", "<IMAGE>", "<Image>", "< image >"),
    *("<img>", "</img>", "[IMG]", "<IMG_CONTEXT>", "<|vision_start|><|image_pad|><|vision_end|>", "{image}"),
    *(
        "<image_placeholder>",
        "<video_1>",
        "<|video_pad|>",
        "<VIDEO>",
        "<VideoHere>",
        "[IMAGE_2]",
        "<im_patch>",
    ),
    *("<start_of_image>", "<image/>", "<Img><ImageHere></Img>", "<frame_3>"),
]


@pytest.mark.parametrize("mark", FOREIGN)
def test_marks_of_other_tools_are_faults_where_something_is_shown(mark: str) -> None:
    """`<image>\\n<image_1>\\nWhat is it?` was trained, the foreign mark as characters."""
    for record in asked(f"Look at {mark} well."):
        assert parse(record).media == ()
    for record in asked(f"Look at {mark} well.")[:5]:
        (fault,) = faults({**record, "images": ["a.png"]})
        assert fault.reason is Reason.FOREIGN_MARK and "at character 9" in fault.detail
        assert mark.startswith(fault.detail.split("'")[1]) and "write <image>" in fault.remedy
        place = RecordPlace(Path("a"), 1, ROOT, foreign_marks="words")
        assert mark in parse({**record, "images": ["a.png"]}, place).messages[0].text
    parts = [{"type": "image", "image": "a.png"}, {"type": "text", "text": f"{mark} What?"}]
    record = {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": mark}]}
    assert read(record) == [Reason.FOREIGN_MARK]


def test_sentences_with_brackets_pass() -> None:
    for text in (
        *(
            "a < b > c",
            "<div> and <span>",
            "List<Image> x",
            'the <img src="a.png"> tag',
            "data[image]",
            "[1]",
        ),
        *("${image}", "<imagenet>", "<ref>cat</ref><box>[[1, 2, 3, 4]]</box>", "<video controls></video>"),
    ):
        assert not list(foreign_marks(f"What is {text}?")), text


def test_files_under_near_misses_are_not_dropped() -> None:
    """A record with `image_path` was read as text only: a run of days without one picture."""
    misses = (
        "image_path",
        "img",
        "imgs",
        "image_file",
        "images_path",
        "image_url",
        "Image",
        "picture",
        "imgae",
        "imags",
    )
    clips = ("video_path", "frames", "video_url", "clips", "videoFile")
    for keys, value, meant in ((misses, "b.png", "image"), (clips, ["b.mp4"], "video")):
        for key in keys:
            for record in asked("What colour is it?"):
                told = faults({**record, key: value})
                assert Reason.UNKNOWN_KEY in {fault.reason for fault in told}, (key, record)
                assert any(fault.field == key and f"'{meant}'" in fault.remedy for fault in told)
                ignoring = RecordPlace(Path("a"), 1, ROOT, ignored_keys=(key,))
                assert parse({**record, key: value}, ignoring).media == ()
    assert read({**asked("a")[0], "audio_path": "a.wav", "image": "a.png"}) == [Reason.UNKNOWN_KEY]


def test_files_and_system_texts_in_turns_and_beside_messages() -> None:
    record = {"conversations": [{**turns("a")[0], "image": "a.png"}, *turns("a", "b")[1:]]}
    assert [f.field for f in faults(record)] == ["conversations[0].image"]
    for key in ("system_prompt", "System", "instruction", "sys_prompt", "sytem"):
        for record in (asked("a")[0], asked("a")[1], asked("a")[5]):
            (fault,) = faults({**record, key: "Be brief."})
            assert fault.field == key and "system" in fault.remedy
    said = {"system": "Be brief.", "messages": asked("a")[3]["messages"]}
    assert parse(said).messages[0].text == "Be brief."


def test_untrained_answers_are_not_trained_for_the_word_of_another_form() -> None:
    """`loss: false` was ignored in messages without pictures, `weight: 0` in those with some."""
    said = asked("a")[3]["messages"]
    silent = {"messages": [said[0], {**said[1], "loss": False}]}
    assert not parse(silent).messages[1].trained
    assert read({"images": ["a.png"], "messages": [said[0], {**said[1], "weight": 0}]}) == [
        Reason.UNKNOWN_KEY
    ]
    assert read({"conversations": [turns("a")[0], {**turns("a", "b")[1], "loss": False}]}) == [
        Reason.UNKNOWN_KEY
    ]


def test_containers_fill_gaps_in_their_own_ways(tmp_path: Path) -> None:
    """Parquet gives every row every column; shards find pictures by name where the record names none."""
    arrow, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    columns = {
        "conversations": [turns("Who?", "I."), turns("<image>", "A cat.")],
        "image": arrow.array([{"bytes": None, "path": None}, {"bytes": b"", "path": "a.png"}], kind),
        "clip": [None, None],
        "width": [NAN, 40.0],
    }
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
    source = RecordReader(DatasetSpec(name="a", annotation=tmp_path / "a.parquet", root=tmp_path))
    assert source.conversation(0).media == () and source.conversation(1).media == (Image(tmp_path / "a.png"),)
    picture = write_picture(tmp_path / "a.png").read_bytes()
    record = json.dumps({"image": "", "conversations": turns("<image>", "A cat.")}).encode()
    with tarfile.open(tmp_path / "a.tar", "w") as shard:
        for name, data in (("0.json", record), ("0.png", picture)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))
    source = RecordReader(DatasetSpec(name="a", annotation=tmp_path / "a.tar", root=tmp_path))
    assert source.conversation(0).media == (Image(picture),)


def test_ordinary_words_about_a_record_are_ignored() -> None:
    about = {"id": "a/1.jpg", "source": "coco.jpg", "url": "http://x/y.png", "width": 9, "score": 0.5}
    more = {
        "dataset": "x",
        "image_id": 7,
        "video_id": "abc",
        "frames": 8,
        "image_size": [1, 2],
        "tags": ["a"],
    }
    for record in asked("Who are you?"):
        assert read({**record, **about, **more, "split": "train", "text": "a cat", "image_url": ""}) == []
    picture = {"image": "a.png", "image_path": "/x/a.png", "mask": "m.png", "conversations": turns("a", "b")}
    assert read(picture) == []


def test_a_name_under_any_key_counts_when_such_a_file_is_there(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    place = RecordPlace(Path("a"), 1, tmp_path)
    assert [f.field for f in faults({"source": "a.png", **asked("a")[0]}, place)] == ["source"]
    assert read({"source": "b.png", **asked("a")[0]}, place) == []
    assert read({"file": "b.png", **asked("a")[0]}, place) == [Reason.UNKNOWN_KEY]


def test_slips_of_the_pen_are_told_with_the_key_that_is_meant() -> None:
    told = [f.remedy for f in faults({"Conversations": turns("a", "b")})]
    assert "'conversations'" in told[0]
    with pytest.raises(DataError, match="it has role, content"):
        parse_as("internvl", {"conversations": [{"role": "user", "content": "a"}]}, PLACE)
    assert read({"video": "a.mp4", "clips": [1, 2], "conversations": turns("a", "b")}) == [Reason.UNKNOWN_KEY]


def test_the_way_into_the_root_never_opens_everything() -> None:
    """The remedy for a picture on the web was to set the root to `/`."""
    for path, words in (
        ("https://x.org/a.png", "download the file"),
        ("/data/photos/a.png", "'root: /data/photos'"),
        ("../b/a.png", f"'root: {Path.cwd()}'"),
        ("~/a.png", "'root: "),
        ("file:///data/photos/a.png", "'root: /data/photos'"),
    ):
        (fault,) = faults({"image": path, "conversations": turns("<image>", "x")})
        assert (
            fault.reason is Reason.OUTSIDE_ROOT and words in fault.remedy and "root: /'" not in fault.remedy
        )


def test_documents_may_go_on_without_a_missing_or_broken_picture(tmp_path: Path) -> None:
    whole = write_picture(tmp_path / "a.jpg", (400, 300)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    record = {"images": ["gone.png", None, "a.jpg", "cut.jpg"], "texts": [None, "one", None, None]}
    kept = {"images": [None, None, "a.jpg", None], "texts": record["texts"]}
    spec = write_records(tmp_path / "d.jsonl", [record, kept], pretraining=True)
    leaving = RecordReader(spec.model_copy(update={"missing_pictures": "leave_out"}))
    assert leaving.conversation(0) == leaving.conversation(1)
    assert len(RecordReader(spec).conversation(0).media) == 3
    outside = {"images": ["/etc/a.png", None], "texts": [None, "x"]}
    place = RecordPlace(Path("a"), 1, tmp_path, pretraining=True, missing_pictures="leave_out")
    assert read(outside, place) == [Reason.OUTSIDE_ROOT]


SOUND: dict[FormName, list[dict[str, Any]]] = {
    "internvl": [{"image": ["a", "b"], "clip": None, "conversations": turns("<image><image>", "b")}],
    "llava": [{"video": "v", "clip": [1, 2], "conversations": turns("<image>", "b")}],
    "sharegpt": [
        {"images": ["a"], "system": "s", "texts": [{"user": "a", "assistant": "b"}]},
        {"conversations": turns("a"), "chosen": turns("a", "b")[1], "rejected": turns("a", "c")[1]},
    ],
    "openai": [asked("a")[5], {"images": ["a"], "messages": asked("a")[5]["messages"]}],
    "swift": [
        {
            "images": ["a"],
            "objects": {"ref": ["r"], "bbox": [[1, 2, 3, 4]], "image_id": [0]},
            **asked("a")[3],
        },
        {"query": "a", "response": "b", "history": [["a", "b"]], "system": "s"},
        {"instruction": "a", "input": "b", "output": "c"},
        {"instruction": "a", "input": "b", "chosen": "c", "rejected": "d"},
        {**asked("a")[3], "rejected_messages": asked("a")[3]["messages"], "rejected_images": ["a"]},
        {**asked("a")[3], "rejected_response": "d"},
    ],
    "mmpr": [{"image": "a", "question": "<image>", "chosen": "b", "rejected": "c", "answer_gt": "d"}],
    "trl": [
        {"images": ["a"], "prompt": "<image>", "chosen": "b", "rejected": "c"},
        {"chosen": asked("a")[5]["messages"], "rejected": asked("a")[5]["messages"]},
        {"images": ["a"], "prompt": asked("a")[5]["messages"][:1], "chosen": "b", "rejected": "c"},
    ],
    "document": [
        {"images": ["a", None], "texts": [None, "x"]},
        {"text_list": ["a"], "image_info": [{"image_name": "a", "matched_text_index": 0}]},
    ],
    "caption": [{"image": "a", "caption": "b"}],
}
OTHER_KEYS = (
    "image",
    "video",
    "system",
    "text_only",
    "width",
    "audios",
    "image_path",
    "sys",
    "frames",
    "Texts",
)
ODD = [
    *(
        None,
        True,
        7,
        -1,
        10**400,
        1.5,
        NAN,
        "",
        " ",
        "x",
        "a.png",
        "<image>",
        "<IMG>",
        "\0",
        "~/a",
        b"x",
        "nan",
    ),
    *([], [[]], [None], ["a", ""], [7], {}, {"path": 7}, {"a": {"b": [1]}}, [{"url": []}], [[1, 2], None]),
    *(json.loads("[" * 900 + "]" * 900), {"type": "image"}, [{"role": "user"}], [{"from": 7, "value": []}]),
]


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from spots(value[key])


@pytest.mark.parametrize("form", FORMS)
def test_any_value_under_any_key_gives_a_record_or_a_fault(form: FormName) -> None:
    """Values of every type in every place of every form, and under keys that a form doesn't know."""
    rng = random.Random(9)
    for _ in range(300):
        record = json.loads(json.dumps(rng.choice(SOUND[form])))
        holder, key = rng.choice(list(spots(record)))
        holder[key] = rng.choice(ODD)
        if rng.random() < 0.3:
            record[rng.choice(OTHER_KEYS)] = rng.choice(ODD)
        place = RecordPlace(
            Path("a.jsonl"),
            1,
            Path("/nowhere"),
            6,
            "be kind",
            rng.random() < 0.5,
            text_only=rng.random() < 0.2,
        )
        try:
            assert isinstance(parse_as(rng.choice((form, detect([record]))), record, place), Conversation)
        except DataError as error:
            assert all(
                fault.remedy and str(fault).isprintable() and len(str(fault)) < 2000 for fault in error.faults
            )
