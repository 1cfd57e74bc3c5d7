"""Text lines in reading order, and camera views as pictures or as a mosaic."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tessera.annotations.formats.ocr import reading_order
from tessera.annotations.objects import LabelledBox
from tests.annotations.annotation_files import (
    boxes_in,
    built,
    dialogue,
    pictures,
    records,
    rejects,
    rows,
    written,
)

LINES = [
    {"text": "world", "box": [200, 12, 300, 42]},
    {"text": "below", "quad": [10, 60, 110, 55, 110, 85, 10, 90]},
    {"text": "hello", "points": [[10, 10], [110, 10], [110, 40], [10, 40]]},
]


def ocr(tmp_path: Path, lines: list[Any], form: str, **settings: Any) -> list[tuple[str, str]]:
    pictures(tmp_path, ["a.jpg"])
    file = rows(tmp_path / "lines.jsonl", [{"image": "a.jpg", "lines": lines}])
    built("ocr", file, tmp_path / form, forms=(form,), questions=99, turns=99, **settings)
    return dialogue(tmp_path / form)


def test_reading_order_is_by_rows() -> None:
    line = {name: LabelledBox(name, box) for name, box in {
        "a": (10, 10, 50, 30), "b": (60, 14, 90, 34), "c": (100, 8, 140, 28),
        "d": (10, 40, 50, 60), "e": (60, 36, 90, 56),
    }.items()}  # fmt: skip
    mixed = [line[name] for name in "edcba"]
    assert "".join(found.label for found in reading_order(mixed)) == "abcde"


def test_transcription_in_reading_order(tmp_path: Path) -> None:
    ((_, answer),) = ocr(tmp_path, LINES, "transcription")
    assert answer == "hello\nworld\nbelow"


def test_transcription_in_the_given_order(tmp_path: Path) -> None:
    ((_, answer),) = ocr(tmp_path, LINES, "transcription", order="given")
    assert answer == "world\nbelow\nhello"


def test_spotting_reading_and_locating(tmp_path: Path) -> None:
    ((_, answer),) = ocr(tmp_path, LINES, "spotting")
    assert answer == (
        "<ref>hello</ref><box>[[16, 21, 172, 83]]</box>\n"
        "<ref>world</ref><box>[[312, 25, 469, 88]]</box>\n"
        "<ref>below</ref><box>[[16, 115, 172, 188]]</box>"
    )
    read = {answer: boxes_in(question) for question, answer in ocr(tmp_path, LINES, "reading")}
    assert read == {
        "hello": [[16, 21, 172, 83]],
        "world": [[312, 25, 469, 88]],
        "below": [[16, 115, 172, 188]],
    }
    twice = [*LINES, {"text": "hello", "box": [10, 200, 60, 230]}]
    assert {answer for _, answer in ocr(tmp_path, twice, "locating")} == {
        "<ref>world</ref><box>[[312, 25, 469, 88]]</box>",
        "<ref>below</ref><box>[[16, 115, 172, 188]]</box>",
    }


def test_illegible_lines_are_left_out_lost_lines_end_whole_page_forms(tmp_path: Path) -> None:
    pictures(tmp_path, ["a.jpg", "b.jpg"])
    pages = [
        {"image": "a.jpg", "lines": [*LINES, {"text": "###", "box": [1, 100, 9, 110]}]},
        {"image": "b.jpg", "lines": [*LINES, {"text": "lost", "box": [900, 100, 990, 110]}]},
    ]
    out = tmp_path / "out"
    report = built("ocr", rows(tmp_path / "l.jsonl", pages), out, questions=99, max_faults=0.2)
    assert report.rules == {"illegible text": 1} and report.faults == {"box outside the picture": 1}
    forms = report.sides["train"]["forms"]
    assert (forms["transcription"], forms["spotting"], forms["reading"]) == (1, 1, 6)
    assert [reject["place"].split(": ")[-1] for reject in rejects(out)] == ["line 4", "line 4"]


def test_paddle_and_icdar_files(tmp_path: Path) -> None:
    pictures(tmp_path, ["img_1.jpg"])
    entry = [{"transcription": "hi, you", "points": [[10, 10], [110, 10], [110, 40], [10, 40]]}]
    paddle = written(tmp_path / "Label.txt", f"img_1.jpg\t{json.dumps(entry)}\n")
    written(tmp_path / "gt" / "gt_img_1.txt", "\ufeff10,10,110,10,110,40,10,40,hi, you\n")
    written(tmp_path / "gt13" / "gt_img_1.txt", '10, 10, 110, 40, "hi, you"\n')
    for number, place in enumerate((paddle, tmp_path / "gt", tmp_path / "gt13")):
        out = tmp_path / f"out{number}"
        built("ocr", place, out, root=tmp_path, forms=("spotting",))
        assert dialogue(out)[0][1] == "<ref>hi, you</ref><box>[[16, 21, 172, 83]]</box>"


def test_a_paddle_file_that_is_none(tmp_path: Path) -> None:
    pictures(tmp_path, ["a.jpg"])
    for line in (b"a.jpg []", b"\xff\xfe\t[]", b"a.jpg\t" + b"[" * 100_000):
        (tmp_path / "Label.txt").write_bytes(line)
        with pytest.raises(ValueError, match=r"Label.txt:1: row can't be read \(no picture, tab and JSON"):
            built("ocr", tmp_path / "Label.txt", tmp_path / "out")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("x", r"lines.jsonl:1: row can't be read \(its lines are not a list"),
        ([{"text": "a", "box": [1, 2, 3]}], r":1: line 1: box without an area \(box \[1, 2, 3\] is not 4"),
        ([{"text": "a", "quad": [1, 2, 3, 4]}], r"4 numbers are no corners"),
        ([{"text": "a"}], r"line 1: box without an area"),
        ([{"box": [1, 2, 3, 4]}], r"line 1: empty text \(text None\)"),
        ([{"text": "</ref>", "box": [1, 2, 30, 40]}], r"special mark in a text \(</ref> in text"),
    ],
)
def test_bad_lines_give_one_clear_line(tmp_path: Path, lines: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        ocr(tmp_path, lines, "spotting")
    assert "\n" not in str(caught.value)


SIX = ("CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")


def moment(folder: Path, **more: Any) -> Path:
    """One row of six views of 1600 x 900."""
    pictures(folder, [f"{view}/0.jpg" for view in SIX], (1600, 900))
    row = {"views": {view: f"{view}/0.jpg" for view in SIX}} | more
    return rows(folder / "moments.jsonl", [row])


ASKED = {
    "question": "What about <c1,CAM_FRONT,800.0,450.0>?",
    "answer": "<c2,CAM_BACK_RIGHT,1600,900> is near.",
}
CAR = {"objects": [{"view": "CAM_BACK", "label": "car", "box": [160, 90, 800, 450]}]}


def test_views_as_pictures_behind_their_names(tmp_path: Path) -> None:
    built("views", moment(tmp_path / "in", **ASKED, **CAR), tmp_path / "out")
    ((question, answer), (_, found)) = dialogue(tmp_path / "out")
    heads = question.splitlines()
    assert heads[:3] == ["CAM_FRONT_LEFT: <image>", "CAM_FRONT: <image>", "CAM_FRONT_RIGHT: <image>"]
    assert heads[6] == "What about <c1,CAM_FRONT,[500,500]>?"
    assert answer == "<c2,CAM_BACK_RIGHT,[1000,1000]> is near."
    assert found == "CAM_BACK: <ref>car</ref><box>[[100, 100, 500, 500]]</box>"
    (record,) = records(tmp_path / "out")
    assert record["image"][1] == "CAM_FRONT/0.jpg" and record["width_list"] == [1600] * 6


def test_views_as_the_published_mosaic(tmp_path: Path) -> None:
    """Undoing the coordinates as the published DriveLM evaluation does gives the pixels of the view."""
    folder = tmp_path / "in"
    file = moment(folder, question="<c1,CAM_FRONT,712.5,480.3>?", answer="<c2,CAM_BACK_LEFT,33,801>", **CAR)
    PIL.Image.new("RGB", (1600, 900), (0, 0, 255)).save(folder / "CAM_BACK" / "0.jpg")
    built("views", file, tmp_path / "out", layout="mosaic")
    (record,) = records(tmp_path / "out")
    assert (record["width"], record["height"]) == (2688, 896)
    tags = re.findall(r"<(c\d),(\w+),\[(\d+),(\d+)\]>", str(record["conversations"]))
    places = {"CAM_FRONT": (1, 0), "CAM_BACK_LEFT": (0, 1)}
    for (_, view, x, y), (px, py) in zip(tags, [(712.5, 480.3), (33, 801)], strict=True):
        column, row = places[view]
        assert abs((int(x) / 1000 * 2688 - column * 896) / 896 * 1600 - px) <= 1.5 * 1600 / 1000
        assert abs((int(y) / 1000 * 896 - row * 448) / 448 * 900 - py) <= 1.0 * 900 / 1000
    seen = np.asarray(PIL.Image.open(tmp_path / "out" / record["image"]))
    ((x0, y0, x1, y1),) = boxes_in(dialogue(tmp_path / "out")[1][1])
    centre = seen[(y0 + y1) * 896 // 2000, (x0 + x1) * 2688 // 2000]
    assert centre[2] > 200 and centre[0] < 60, "the box of CAM_BACK lies on the blue picture"
    corner = seen[448:500, 896:1100].reshape(-1, 3).astype(int)
    assert ((corner - (255, 0, 255)) ** 2).sum(1).min() < 5000, "the name is drawn in the corner"


def test_drivelm_files(tmp_path: Path) -> None:
    pictures(tmp_path, [f"nuscenes/{view}.jpg" for view in SIX], (160, 90))
    frame = {
        "image_paths": {view: f"../nuscenes/{view}.jpg" for view in SIX},
        "key_object_infos": {"<c1,CAM_FRONT,80.0,45.0>": {"Category": "Vehicle"}},
        "QA": {
            "perception": [{"Q": "What is <c1,CAM_FRONT,80.0,45.0>?", "A": "A car."}],
            "planning": [{"Q": "Now?", "A": "Stop."}],
        },
    }
    file = written(tmp_path / "v1.json", json.dumps({"scene": {"key_frames": {"f1": frame, "f2": {}}}}))
    report = built("views", file, tmp_path / "out", max_faults=0.5)
    assert report.faults == {"row can't be read": 1}
    assert [answer for _, answer in dialogue(tmp_path / "out")] == ["A car.", "Stop."]
    assert "<c1,CAM_FRONT,[500,500]>" in dialogue(tmp_path / "out")[0][0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"question": "<c1,CAM_TOP,1,1>?", "answer": "x"},
            r"question 1: unknown view \('CAM_TOP'; views are",
        ),
        (
            {"question": "<c1,CAM_BACK,1,901>?", "answer": "x"},
            r"box outside the picture \(<c1,CAM_BACK,1,901>",
        ),
        ({"question": "q"}, r"question 1: empty text \(answer None\)"),
        ({"views": {"A": "A/none.jpg"}}, r"moments.jsonl:1: missing picture"),
        ({"views": ["a"]}, r"'views' is not an object of view name"),
        ({"objects": [{"view": "X", "label": "car", "box": [1, 2, 3, 4]}]}, r"object 1: unknown view \('X'"),
        ({"qa": "x"}, r"'qa' is not a list of objects"),
    ],
)
def test_bad_moments_give_one_clear_line(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        built("views", moment(tmp_path / "in", **more), tmp_path / "out")
    assert "\n" not in str(caught.value)
