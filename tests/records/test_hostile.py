"""Hostile data: any bytes give a conversation or a DataError, and every kind of trouble has its name."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.chat.message import Conversation, Image, Video
from tessera.curation.examine import size_faults
from tessera.curation.inspector import MediaInspector
from tessera.records import record as record_module
from tessera.records.boxes import box_problems
from tessera.records.faults import DataError, Reason
from tessera.records.forms.detect import FormName, detect, parse_as
from tessera.records.manifest import DatasetSpec
from tessera.records.media import media_problem
from tessera.records.readers import container, json_file
from tessera.records.readers.records import RecordReader
from tessera.records.record import RecordPlace
from tests.records.jsonl_files import turns, write_picture
from tests.records.planted import bomb

GOOD = json.dumps({"conversations": turns("a", "b")}).encode()
INLINE = "data:a/b;base64,AA=="
ANSWER = {"role": "assistant", "content": "b", "weight": 1, "loss": True}
SOUND: dict[FormName, list[Any]] = {
    "internvl": [
        {"image": ["a", "b"], "width_list": [1, 2], "conversations": turns("<image><image>", "b")},
        {"video": "v", "clip": [1, 2], "image": "a", "conversations": turns("<video> <image>", "b")},
    ],
    "llava": [{"id": 1, "image": "a", "conversations": turns("x <image>", "<box>[[1, 2, 3, 4]]</box>")}],
    "sharegpt": [
        {"images": ["a"], "system": "s", "conversations": turns("<image>", "b")},
        {"videos": ["v"], "conversation": [{"human": "<video>", "assistant": "b"}]},
        {"images": [{"bytes": b"x", "path": "p"}], "texts": [{"user": "a", "assistant": "b"}]},
    ],
    "openai": [
        {
            "images": ["a"],
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]},
                ANSWER,
                {"role": "user", "content": [{"type": "video", "video": "v", "start": 1, "end": 2}]},
                {"role": "assistant", "content": [{"type": "text", "text": "!"}]},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": INLINE}}]},
                ANSWER,
            ],
        }
    ],
    "swift": [
        {
            "images": ["a"],
            "messages": [{"role": "user", "content": "<image><ref-object>"}, {**ANSWER, "content": "<bbox>"}],
            "objects": {"ref": ["r"], "bbox": [[0.1, 0.1, 0.2, 0.3]], "bbox_type": "norm1", "image_id": [0]},
        },
        {"query": "a", "response": "b", "history": [["a", "b"]], "system": "s"},
        {"instruction": "a", "input": "b", "output": "c"},
    ],
    "document": [
        {"images": ["a", None], "texts": [None, "x"]},
        {"text_list": ["a", "b"], "image_info": [{"image_name": "a", "matched_text_index": 1}]},
    ],
    "caption": [{"image": "a", "caption": "b"}],
}
ODD = [
    *(
        None,
        True,
        -1,
        0,
        7,
        1.5,
        float("nan"),
        float("inf"),
        10**300,
        "",
        " ",
        "a",
        "\0",
        "\ud800",
        "../x",
        "/x",
    ),
    *(
        "<image>",
        "<video>",
        "<bbox>",
        "<box>",
        "s3://b/c",
        "data:,x",
        "data:a/b;base64,%",
        "file:///x",
        "tool",
    ),
    *(
        b"",
        b"x",
        [],
        [[]],
        [None],
        ["a", "b"],
        {},
        {"a": 1},
        {"bytes": b"x"},
        {"path": "/x"},
        [1, 2],
        [[1, 2]],
    ),
    *(
        "human",
        "system",
        "assistant",
        "x" * 5000,
        [0] * 50,
        "<box>[[1, 2, NaN, 4]]</box>",
        [float("nan")] * 4,
    ),
]


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[FormName, Any]:
    """A sound record with up to three of its values replaced, removed or doubled."""
    form = draw(st.sampled_from(sorted(SOUND)))
    record = copy.deepcopy(draw(st.sampled_from(SOUND[form])))
    for _ in range(draw(st.integers(0, 3))):
        spots = list(_spots(record))
        if not spots:
            break
        holder, key = spots[draw(st.integers(0, len(spots) - 1))]
        match draw(st.integers(0, 3)):
            case 0:
                del holder[key]
            case 1:
                holder[key] = [holder[key], copy.deepcopy(holder[key])]
            case _:
                holder[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return form, record


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a value that can be replaced: the list or object that holds it, and where."""
    keys: Iterable[Any] = ()
    if isinstance(value, dict | list):
        keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        yield from _spots(value[key])


@given(spoiled(), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=500)
def test_any_value_gives_a_conversation_or_a_data_error(
    drawn: tuple[FormName, Any], page: bool, known: bool
) -> None:
    place = RecordPlace(Path("a.jsonl"), 1, Path("/nowhere"), 6, "be kind", page)
    form, record = drawn
    try:
        found = parse_as(form if known else detect([record]), record, place)
    except DataError as error:
        assert error.faults and all(fault.remedy and len(str(fault)) < 2000 for fault in error.faults)
        return
    assert isinstance(found, Conversation)
    for part in found.media:
        for source in part.source if isinstance(part.source, tuple) else (part.source,):
            assert isinstance(source, bytes) or str(source).startswith("/nowhere"), part


def test_the_sound_records_are_sound() -> None:
    for form, records in SOUND.items():
        for record in records:
            place = RecordPlace(Path("a.jsonl"), 1, Path("/nowhere"), pretraining=form == "document")
            assert isinstance(parse_as(form, record, place), Conversation)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Bytes of a line: any, or a good record with a few of its bytes changed."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=60))
    data = bytearray(GOOD)
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@given(st.lists(lines(), min_size=1, max_size=5), st.sampled_from(["a.jsonl", "a.json"]))
@settings(deadline=None, max_examples=150)
def test_any_bytes_give_conversations_or_data_errors(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], name: str
) -> None:
    file = tmp_path_factory.mktemp("fuzz") / name
    file.write_bytes(b"[" + b",".join(parts) if name == "a.json" else b"\n".join(parts))
    try:
        source = RecordReader(DatasetSpec(name="fuzz", annotation=file, root=file.parent))
    except ValueError as error:  # nothing in it is a record
        assert name in str(error)
        return
    for number in range(source.size):
        try:
            assert isinstance(source.conversation(number), Conversation)
        except DataError as error:
            assert {fault.line for fault in error.faults} == {source.place(number)[1]}


def reasons_of(tmp_path: Path, data: bytes) -> list[Reason]:
    file = tmp_path / "a.jsonl"
    file.write_bytes(GOOD + b"\n" + data + b"\n" + GOOD)
    source = RecordReader(DatasetSpec(name="a", annotation=file, root=tmp_path))
    assert source.size == 3 and isinstance(source.conversation(2), Conversation)
    with pytest.raises(DataError) as caught:
        source.conversation(1)
    assert {fault.line for fault in caught.value.faults} == {2}
    return [fault.reason for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", Reason.BROKEN_JSON),
        (b'{"a": ' * 200_000, Reason.DEEP_JSON),
        (b"[" * 200_000, Reason.DEEP_JSON),
        (b'{"id": ' + b"1" * 5000 + b"}", Reason.BROKEN_JSON),
        (b'{"id": "\xff"}', Reason.BAD_UTF8),
        ('{"id": "ä"}'.encode("utf-16"), Reason.BAD_UTF8),
        (b'{"id": "\x00"}', Reason.BROKEN_JSON),
        (GOOD.replace(b'"a"', rb'"\u0000"'), Reason.NUL),
        (GOOD.replace(b'"a"', rb'"\ud800"'), Reason.LONE_SURROGATE),
        (GOOD + GOOD, Reason.BROKEN_JSON),
        (b"null", Reason.BAD_FIELD),
    ],
)
def test_bad_lines_have_names_and_spare_their_neighbours(tmp_path: Path, data: bytes, reason: Reason) -> None:
    assert reasons_of(tmp_path, data) == [reason]


def test_a_line_beyond_the_limit_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (record_module, container, json_file):
        monkeypatch.setattr(module, "MOST_BYTES", 1000)
    assert reasons_of(tmp_path, b'{"id": "' + b"x" * 100_000 + b'"}') == [Reason.LONG_RECORD]


def test_many_open_boxes_take_one_pass() -> None:
    assert list(box_problems("<box>" * 200_000, strict=True)) == ["200000 <box> but 0 </box>"]
    deep = f"<box>{'[' * 100_000}</box>"
    assert len(list(box_problems(deep, strict=True))) == 1
    for content in (
        "[[NaN, 1, 2, 3]]",
        "[[1, 2, Infinity, 4]]",
        f"[[1, 2, 3, {'9' * 5000}]]",
        "[[3, 1, 2, 4]]",
    ):
        (problem,) = box_problems(f"<box>{content}</box>", strict=True)
        assert len(problem) < 200


def picture_files(folder: Path) -> dict[str, Reason | None]:
    """Files in every state, and the reason that each must get."""
    whole = write_picture(folder / "good.jpg", (400, 300)).read_bytes()
    PIL.Image.new("RGB", (8, 8)).save(folder / "png_named.jpg", "PNG")
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "page.jpg").write_bytes(b"<!doctype html><title>404</title>")
    (folder / "empty.jpg").touch()
    (folder / "folder.jpg").mkdir()
    (folder / "bomb.png").write_bytes(bomb(16_000, 16_000))
    (folder / "big_bomb.png").write_bytes(bomb(60_000, 60_000))
    return {
        "good.jpg": None,
        "png_named.jpg": None,
        "cut.jpg": Reason.BROKEN_PICTURE,
        "page.jpg": Reason.NOT_A_PICTURE,
        "empty.jpg": Reason.EMPTY_FILE,
        "folder.jpg": Reason.NOT_A_PICTURE,
        "bomb.png": Reason.HUGE_PICTURE,
        "big_bomb.png": Reason.HUGE_PICTURE,
        "gone.jpg": Reason.MISSING_FILE,
        "good.jpg/x.jpg": Reason.MISSING_FILE,
        "n" * 300: Reason.MISSING_FILE,
    }


def test_every_state_of_a_picture_has_its_name(tmp_path: Path) -> None:
    for name, reason in picture_files(tmp_path).items():
        found = media_problem(Image(tmp_path / name), headers_only=False)
        assert (found and found[0]) == reason, name
    assert media_problem(Image(tmp_path / "cut.jpg"), headers_only=True) is None
    assert media_problem(Image(b""), headers_only=True) == (Reason.EMPTY_FILE, "<0 bytes>")
    assert media_problem(Image(bomb(16_000, 16_000)), headers_only=True)[0] == Reason.HUGE_PICTURE  # type: ignore


def test_every_state_of_a_clip_has_its_name(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGB", (16, 16), (n * 40, 0, 0)) for n in range(5)]
    frames[0].save(tmp_path / "good.gif", save_all=True, append_images=frames[1:], duration=1000)
    (tmp_path / "page.mp4").write_bytes(b"<!doctype html>" * 100)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "empty").mkdir()
    for clip, reason in (
        (Video(tmp_path / "good.gif"), None),
        (Video(tmp_path / "good.gif", 1.0, 3.0), None),
        (Video(tmp_path / "good.gif", 60.0), Reason.BROKEN_VIDEO),
        (Video(tmp_path / "page.mp4"), Reason.NOT_A_VIDEO),
        (Video(tmp_path / "empty.mp4"), Reason.EMPTY_FILE),
        (Video(tmp_path / "empty"), Reason.BROKEN_VIDEO),
        (Video(tmp_path / "gone.mp4"), Reason.MISSING_FILE),
    ):
        found = media_problem(clip, headers_only=True)
        assert (found and found[0]) == reason, clip


def test_a_huge_clip_is_refused_by_its_size(tmp_path: Path) -> None:
    file = tmp_path / "huge.mp4"
    with file.open("wb") as stream:
        stream.truncate(17 * 2**30)  # holds no blocks on disk
    assert media_problem(Video(file), headers_only=True)[0] == Reason.HUGE_VIDEO  # type: ignore[index]


@pytest.mark.parametrize(
    ("stated", "wrong"),
    [
        ({}, 0),
        ({"width": 40, "height": 30}, 1),
        ({"width": [40, 10], "height": [30, 20]}, 0),
        ({"width_list": [40, 10], "height_list": [30, 20]}, 0),
        ({"width_list": [40, 20], "height_list": [30, 10]}, 1),
        ({"width_list": ["40", None], "height_list": [30, 20]}, 2),
        ({"width": 40}, 0),
    ],
)
def test_stated_sizes_are_held_against_headers(tmp_path: Path, stated: dict[str, Any], wrong: int) -> None:
    write_picture(tmp_path / "a.png", (40, 30))
    write_picture(tmp_path / "b.png", (10, 20))
    record = {"image": ["a.png", "b.png"], "conversations": turns("<image><image>", "x"), **stated}
    found = parse_as("internvl", record, RecordPlace(Path("a.jsonl"), 4, tmp_path))
    seen = [(part, MediaInspector().inspect(part)) for part in found.media]
    faults = size_faults(record, seen, (Path("a.jsonl"), 4))
    assert [fault.reason for fault in faults] == [Reason.WRONG_SIZE] * wrong
    out = io.BytesIO()
    PIL.Image.new("RGB", (5, 6)).save(out, "PNG")
    inside = Image(out.getvalue())
    seen = [(inside, MediaInspector().inspect(inside))]
    assert not size_faults({"width": 5, "height": 6}, seen, (Path("a"), 1))


def test_every_reason_has_a_remedy() -> None:
    assert all(reason.remedy for reason in Reason)
