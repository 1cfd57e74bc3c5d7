"""Rows as evaluation kits have them: with base64, a column for each option, indices of earlier rows."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tessera.annotations.formats.row_pictures import RowPictures
from tessera.annotations.formats.rows import FileRow
from tessera.annotations.pictures import Pictures
from tessera.annotations.rejects import Rejected
from tests.annotations.annotation_files import built, dialogue, pictures, rejects, rows, written


def inline(color: str = "red", kind: str = "PNG") -> str:
    stream = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), color).save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()


def table(file: Path, *lines: tuple[Any, ...]) -> Path:
    head = ("index", "image", "hint", "question", "A", "B", "C", "answer")
    return written(file, "\n".join("\t".join(map(str, line)) for line in (head, *lines)) + "\n")


def test_a_table_with_pictures_becomes_records_with_files(tmp_path: Path) -> None:
    """An OSError with all of the base64: File name too long."""
    file = table(
        tmp_path / "q.tsv",
        (0, inline(), "", "Which?", "B", "A", "", "B"),
        (1, "0", "It is red.", "And now?", "this", "", "that", "C"),
        (2, inline("blue", "JPEG"), "", "Why?", "so", "thus", "hence", "hence"),
        (3, "7", "", "Why?", "so", "thus", "", "A"),
    )
    built("vqa", file, tmp_path / "out", max_faults=1, turns=1)
    assert [answer for _, answer in dialogue(tmp_path / "out")] == ["B", "B", "C"]
    asked = [question for question, _ in dialogue(tmp_path / "out")]
    assert "A. B\nB. A" in asked[0] and "It is red.\nAnd now?" in asked[1] and "A. this\nB. that" in asked[1]
    records = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    assert records[0]["image"] == records[1]["image"] != records[2]["image"]
    assert sorted(Path(r["image"]).suffix for r in records) == [".jpg", ".png", ".png"]
    assert json.loads((tmp_path / "out" / "meta.json").read_text())["vqa"]["root"] == "images"
    assert "missing picture" in rejects(tmp_path / "out")[0]["reason"]


@pytest.mark.parametrize(
    "spelled",
    [
        lambda text: f"data:image/png;base64,{text}",
        lambda text: f"DATA:;base64,{text}",
        lambda text: "\n".join(text[n : n + 20] for n in range(0, len(text), 20)),
        lambda text: text.rstrip("="),
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
    ],
)
def test_every_spelling_of_base64_is_the_picture(tmp_path: Path, spelled: Any) -> None:
    shelf = Pictures(tmp_path, tmp_path / "images")
    assert shelf.find(spelled(inline())) == shelf.find(inline())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 5000, "missing picture"),
        ("x/" * 3000 + "a.png", "missing picture"),
        ("a\0b.png", "missing picture"),
        ("\x1b[2J.png", r"missing picture \(.*\\x1b"),
        ("\udcff.png", "is not UTF-8; rename the file"),
        (inline()[:200] + "!" * 200, "unreadable picture"),
        ("data:image/png;base64," + "A" * 200, "unreadable picture"),
        (None, "None is no picture's name"),
        ({"bytes": 1}, "is no picture's name"),
        ("https://host/a.png", "missing picture"),
    ],
)
def test_a_name_that_no_file_has_is_a_reject_in_a_line(tmp_path: Path, name: object, said: str) -> None:
    lines = [json.dumps({"image": image, "caption": "c"}) + "\n" for image in (name, "a.jpg")]
    file = written(tmp_path / "r.jsonl", "".join(lines))
    pictures(tmp_path, ["a.jpg"])
    found = built("captions", file, tmp_path / "out", max_faults=1)
    assert found.faults and len(found.first[0]) < 800 and found.first[0].isprintable()
    assert re.search(said, found.first[0])


def test_several_pictures_of_a_row_are_numbered(tmp_path: Path) -> None:
    pictures(tmp_path, ["a.jpg"])
    listed = [inline(), "a.jpg"]
    entries = [
        {"image": value, "question": "Alike?", "answer": "no"}
        for value in (listed, json.dumps(listed), str(listed))
    ]
    built("vqa", rows(tmp_path / "r.jsonl", entries), tmp_path / "out", turns=1)
    for question, _ in dialogue(tmp_path / "out"):
        assert question.startswith("Image-1: <image>\nImage-2: <image>\nAlike?")
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2


def test_files_first_and_base64_later_have_no_common_root(tmp_path: Path) -> None:
    pictures(tmp_path, ["a.jpg"])
    entries = [{"image": value, "caption": "c"} for value in ("a.jpg", inline())]
    file = rows(tmp_path / "r.jsonl", entries)
    built("captions", file, tmp_path / "1", max_faults=1)
    assert "take --copy-pictures" in rejects(tmp_path / "1")[0]["detail"]
    assert built("captions", file, tmp_path / "2", copy_pictures=True).sides["train"]["records"] == 2
    assert built("captions", rows(file, entries[::-1]), tmp_path / "3").sides["train"]["records"] == 2


def test_an_index_of_two_rows_names_neither(tmp_path: Path) -> None:
    shelf = RowPictures(Pictures(tmp_path, tmp_path / "images"))
    for color in ("red", "blue"):
        shelf.of(FileRow("", {"index": "5", "image": inline(color)}))
    with pytest.raises(Rejected, match="index 5 stands twice, with different pictures"):
        shelf.of(FileRow("", {"index": "6", "image": "5"}))


def test_folders_that_cannot_be_written_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = rows(tmp_path / "r.jsonl", [{"image": inline(), "caption": "c"}])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        ValueError, match="out: No space left on device; correct path or access, or make room"
    ):
        built("captions", file, tmp_path / "out")
