"""Absurd values in every kind of annotations: rejects or one error, and no other exception."""

from __future__ import annotations

import json
import time
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tessera.annotations.build import KINDS, build
from tessera.annotations.coordinates import numbers
from tessera.annotations.formats import ocr, views
from tessera.annotations.rejects import Rejected
from tests.annotations.annotation_files import built, pictures, written

ODD: list[Any] = [
    *(None, True, 0, -1, 2**70, 10**400, 1e308, float("nan"), float("inf"), -0.0, "", "a", "1", "A"),
    *(
        "\x1b[2J",
        "a\nb",
        "\ud800",
        "\udcff",
        "x" * 5000,
        "a\0b",
        "<image>",
        "</box>",
        "../a.png",
        "/etc/passwd",
    ),
    *([], [1], [[1]], {}, {"a": 1}, [None] * 5, "[" * 100, "['a.png','b.png']", ["a.png"], "https://x/y.png"),
]
QA = [{"question": "where <c1,CAM_FRONT,1,1>?", "answer": "here"}]
SOUND: dict[str, tuple[str, Any]] = {
    "instances.json": (
        "boxes",
        {
            "images": [
                {"id": 1, "file_name": "a.png", "width": 40, "height": 30},
                {"id": 2, "file_name": "b.png"},
            ],
            "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 10], "caption": "it"},
                {"id": 2, "image_id": 2, "category_id": 2, "bbox": [1, 2, 10, 10], "iscrowd": 0},
            ],
        },
    ),
    "rows.json": (
        "vqa",
        [
            {
                "index": 1,
                "image": "a.png",
                "question": "what?",
                "answer": "A",
                "A": "x",
                "B": "y",
                "hint": "h",
            },
            {"image": "b.png", "question": "what?", "answer": ["x", "y"], "choices": ["x", "y"]},
        ],
    ),
    "pages.json": (
        "ocr",
        [
            {
                "image": "a.png",
                "lines": [
                    {"text": "E", "box": [1, 1, 9, 9]},
                    {"text": "F", "quad": [1, 1, 5, 1, 5, 5, 1, 5]},
                ],
            }
        ],
    ),
    "moments.json": (
        "views",
        [
            {
                "views": {"CAM_FRONT": "a.png", "CAM_BACK": "b.png"},
                "qa": QA,
                "objects": [{"view": "CAM_FRONT", "label": "car", "box": [1, 1, 9, 9]}],
            }
        ],
    ),
    "drive.json": (
        "views",
        {
            "s": {
                "key_frames": {
                    "f": {"image_paths": {"CAM_FRONT": "../a.png"}, "QA": {"p": [{"Q": "q", "A": "a"}]}}
                }
            }
        },
    ),
}


def mutated(value: Any, rng: Random) -> Any:
    """The value with some parts replaced by odd ones, left out or repeated."""
    if rng.random() < 0.12:
        return deepcopy(rng.choice(ODD))
    if isinstance(value, dict):
        found = {key: mutated(inner, rng) for key, inner in value.items()}
        if rng.random() < 0.1:
            found.pop(rng.choice(list(found)))
        return found
    if isinstance(value, list):
        found_list = [mutated(inner, rng) for inner in value]
        return found_list + found_list[:1] if rng.random() < 0.1 else found_list
    return value


@pytest.mark.parametrize("name", SOUND)
def test_mutated_annotations_are_rejects_or_one_error(tmp_path: Path, name: str) -> None:
    pictures(tmp_path, ["a.png", "b.png"], (40, 30))
    kind, sound = SOUND[name]
    for seed in range(40):
        file = written(tmp_path / name, json.dumps(mutated(sound, Random(seed))))
        settings = KINDS[kind].settings(
            annotations=file, out=tmp_path / "out", max_faults=1.0, overwrite=True
        )
        try:
            report = build(kind, settings)
        except ValueError as error:
            assert len(str(error)) < 1500
        else:
            assert all(len(line) < 1500 and line.isprintable() for line in report.first)


@pytest.mark.parametrize("number", [10**400, -(10**400), float("nan"), float("inf"), 1e300, "1", True, None])
def test_what_is_no_pixel_is_a_reject(number: Any) -> None:
    """10^400 was an OverflowError."""
    with pytest.raises(Rejected, match="bbox"):
        numbers([1, 2, 3, number], 4, "bbox")


def test_patterns_of_lines_and_tags_take_linear_time() -> None:
    """Spaces between numbers were tried in every way of parting them: some hundred took for ever."""
    spaces = " " * 100_000
    begin = time.process_time()
    ocr._ICDAR.match("1" + "".join(f"{spaces}{n}" for n in range(6)) + spaces + "x")
    views._TAG.sub("", "<a," + spaces + "<b" + "<a,b,1" + "1" * 100_000 + spaces)
    assert time.process_time() - begin < 2
    assert ocr._icdar_line("", "1, 2 ,3  4,text, more").fields == {"box": [1, 2, 3, 4], "text": "text, more"}


def test_dota_refuses_other_encodings_and_infinite_corners(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 were replaced in the name of a class without a word."""
    pictures(tmp_path / "images", ["a.png"], (40, 30))
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "a.txt").write_bytes("1 1 9 1 9 9 1 9 größe 0".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a.txt: is no UTF-8: .*; save the file as UTF-8"):
        built("remote", labels, tmp_path / "out", root=tmp_path / "images")
    (labels / "a.txt").write_text("1 1 9 1 9 9 1 1e999 dog 0")
    with pytest.raises(ValueError, match="has numbers that are not finite"):
        built("remote", labels, tmp_path / "out", root=tmp_path / "images")
