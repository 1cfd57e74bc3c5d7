"""Clips of records: what the check proves, lists of frames, frames a second."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tessera.chat.message import Video
from tessera.chat.openai import read_messages
from tessera.records.faults import DataError, Reason
from tessera.records.manifest import DatasetSpec, read_meta
from tessera.records.media import media_problem
from tessera.records.open import open_sources
from tessera.records.readers.records import RecordReader
from tessera.records.writing import RecordText
from tests.imaging.clips.drawn_clips import write_clip

TALK = [{"from": "human", "value": "<video>?"}, {"from": "gpt", "value": "a"}]


def stills(folder: Path, count: int) -> list[str]:
    for number in range(count):
        PIL.Image.new("RGB", (8 + number, 6), (20 * number, 0, 0)).save(folder / f"{number}.png")
    return [f"{number}.png" for number in range(count)]


def reader(folder: Path, *records: dict[str, Any], **settings: Any) -> RecordReader:
    lines = (json.dumps({"conversations": TALK} | record) for record in records)
    (folder / "a.jsonl").write_text("\n".join(lines))
    return RecordReader(DatasetSpec(name="a", annotation=folder / "a.jsonl", root=folder, **settings))


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def middle_lost(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 900] = bytes(900)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "spoil", "detail"),
    [
        ("a.mp4", cut, r"1\d of 40 frames can be read"),
        ("a.mp4", middle_lost, r"3\d of 40 frames can be read"),
        ("a.avi", cut, r"the last [\d,]+ bytes are missing, 1\d frames are left"),
        ("a.mkv", cut, r"the last [\d,]+ bytes are missing, 1\d frames are left"),
        ("a.webm", cut, r"the last [\d,]+ bytes are missing, 1\d frames are left"),
    ],
)
def test_a_clip_is_decoded_by_the_check(
    tmp_path: Path, name: str, spoil: Callable[[Path], Path], detail: str
) -> None:
    """A clip that was cut off passed the check and stopped the run at a later step."""
    codec = "libvpx" if name.endswith("webm") else "mpeg4"
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    path = write_clip(tmp_path / name, codec, 40, noisy=True, **options)
    assert media_problem(Video(path), False) is None
    spoil(path)
    problem = media_problem(Video(path), False)
    assert problem is not None and problem[0] is Reason.CUT_VIDEO
    assert re.search(detail, problem[1]), problem[1]
    assert media_problem(Video(path), True) is None  # headers only


def test_bounds_in_front_of_the_damage_are_sound(tmp_path: Path) -> None:
    path = cut(write_clip(tmp_path / "a.mp4", "mpeg4", 40, noisy=True, movflags="faststart"))
    assert media_problem(Video(path, 0, 0.8), False) is None
    problem = media_problem(Video(path, 0.5, 3.5), False)
    assert problem is not None and "of 33 frames from frame 5 to 37 can be read" in problem[1]


def test_an_unknown_codec_is_a_fault(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    for headers_only in (True, False):
        problem = media_problem(Video(path), headers_only)
        assert problem is not None and problem[0] is Reason.NOT_A_VIDEO and "codec" in problem[1]


def test_every_frame_of_a_folder_and_of_a_list_is_decoded(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    names = stills(folder, 6)
    listed = tuple(folder / name for name in names)
    assert media_problem(Video(folder), False) is media_problem(Video(listed), False) is None
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:-20])
    for source in (folder, listed):
        problem = media_problem(Video(source), False)
        assert problem is not None and problem[0] is Reason.BROKEN_PICTURE and "3.png" in problem[1]
    (folder / "3.png").unlink()
    problem = media_problem(Video(listed), False)
    assert problem is not None and problem[0] is Reason.MISSING_FILE


def test_a_clip_may_be_a_list_of_frames(tmp_path: Path) -> None:
    names = stills(tmp_path, 4)
    expected = tuple(tmp_path / name for name in names)
    write_clip(tmp_path / "a.mp4")
    two = [{"from": "human", "value": "<video><video>?"}, TALK[1]]
    parts = [{"type": "video", "video": names}, {"type": "text", "text": "?"}]
    chat = [{"role": "user", "content": parts}, {"role": "assistant", "content": "a"}]
    found = reader(
        tmp_path,
        {"video": names},
        {"videos": [names]},
        {"videos": [names, names[:2]], "conversations": two},
        {"videos": [names, "a.mp4"], "conversations": two},
    )
    sources = [[part.source for part in found.conversation(n).media] for n in range(4)]
    assert sources == [[expected], [expected], [expected, expected[:2]], [expected, tmp_path / "a.mp4"]]
    (tmp_path / "b.jsonl").write_text(json.dumps({"messages": chat}))
    asked = RecordReader(DatasetSpec(name="b", annotation=tmp_path / "b.jsonl", root=tmp_path)).conversation(
        0
    )
    assert asked.media == read_messages(chat, tmp_path).media == (Video(expected),)
    for bad, told in ((["../x.png"], "path outside the root"), ([["a.png", 3]], "3 is not a path")):
        with pytest.raises(DataError, match=told) as caught:
            reader(tmp_path, {"video": bad}).conversation(0)
        assert len(caught.value.faults) == 1
    with pytest.raises(ValueError, match="leads out of"):
        read_messages([{"role": "user", "content": [{"type": "video", "video": ["../x.png"]}]}], tmp_path)


def test_frames_a_second_in_a_manifest(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", count=40)
    part = reader(tmp_path, {"video": "a.mp4"}, fps=2.0, max_frames=16).conversation(0).media[0]
    assert part == Video(tmp_path / "a.mp4", frames=16, fps=2.0)
    (tmp_path / "meta.json").write_text(json.dumps({"a": {"annotation": "a.jsonl", "fps": 1000}}))
    with pytest.raises(ValueError, match=r"a\.fps: 1000; it must be at most 240"):
        read_meta(tmp_path / "meta.json")
    (tmp_path / "meta.json").write_text(json.dumps({"a": {"annotation": "a.jsonl", "max_frames": 10**9}}))
    with pytest.raises(ValueError, match=r"a\.max_frames: 1000000000; it must be at most 512"):
        read_meta(tmp_path / "meta.json")
    (tmp_path / "meta.json").write_text(json.dumps({"a": {"annotation": "a.jsonl", "fps": 2}}))
    assert open_sources(read_meta(tmp_path / "meta.json"))[0].source.conversation(0).media[0] == Video(
        tmp_path / "a.mp4", frames=32, fps=2.0
    )


def test_a_list_of_frames_is_written_as_one(tmp_path: Path) -> None:
    names = stills(tmp_path, 3)
    parts = [{"type": "video", "video": names}, {"type": "text", "text": "?"}]
    chat = [{"role": "user", "content": parts}, {"role": "assistant", "content": "a"}]
    (tmp_path / "b.json").write_text(json.dumps([{"messages": chat}]))
    spec = DatasetSpec(name="b", annotation=tmp_path / "b.json", root=tmp_path)
    text = RecordText(spec, RecordReader(spec), tmp_path / "media")
    (tmp_path / "a.jsonl").write_bytes(text.line(0))
    again = RecordReader(DatasetSpec(name="a", annotation=tmp_path / "a.jsonl", root=tmp_path))
    assert again.conversation(0).media == (Video(tuple(tmp_path / name for name in names)),)
