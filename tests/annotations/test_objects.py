"""COCO-style and DOTA-style boxes to questions: each form, the rules, the faults."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.annotations.annotation_files import (
    boxes_in,
    built,
    dialogue,
    instances,
    pictures,
    records,
    rejects,
    written,
)

TWO_DOGS_ONE_CAT = [(1, 300, 20, 50, 60), (1, 10, 20, 50, 60), (2, 100, 200, 300, 100)]
DOGS = "<ref>dog</ref><box>[[16, 42, 94, 167], [469, 42, 547, 167]]</box>"
CAT = "<ref>cat</ref><box>[[156, 417, 625, 625]]</box>"


def answers(tmp_path: Path, form: str, boxes: list[Any], **settings: Any) -> list[tuple[str, str]]:
    """Questions and answers of one form."""
    out = tmp_path / form
    built("boxes", instances(tmp_path / "in", boxes), out, forms=(form,), questions=99, **settings)
    return sorted(dialogue(out), key=lambda pair: pair[1])


def test_detection_lists_all_of_a_class_from_left_to_right(tmp_path: Path) -> None:
    (_, cat), (question, dogs) = answers(tmp_path, "detection", TWO_DOGS_ONE_CAT)
    assert (cat, dogs) == (CAT, DOGS)
    assert "<ref>dog</ref>" in question


def test_everything_joins_the_pairs(tmp_path: Path) -> None:
    ((_, answer),) = answers(tmp_path, "everything", TWO_DOGS_ONE_CAT)
    assert answer == DOGS + CAT


def test_grounding_takes_what_is_unique(tmp_path: Path) -> None:
    ((question, answer),) = answers(tmp_path, "grounding", TWO_DOGS_ONE_CAT)
    assert "<ref>cat</ref>" in question and answer == CAT


def test_grounding_with_phrases_of_the_objects_own(tmp_path: Path) -> None:
    left = (1, 10, 20, 50, 60, {"phrase": "the left dog"})
    right = (1, 300, 20, 50, 60, {"caption": "the right dog"})
    pairs = answers(tmp_path, "grounding", [left, right])
    assert [answer for _, answer in pairs] == [
        "<ref>the left dog</ref><box>[[16, 42, 94, 167]]</box>",
        "<ref>the right dog</ref><box>[[469, 42, 547, 167]]</box>",
    ]


def test_a_phrase_for_two_objects_is_not_asked(tmp_path: Path) -> None:
    """Nor a phrase that is the class of another object: both would have two right answers."""
    same = [(1, x, 20, 50, 60, {"phrase": "a dog"}) for x in (10, 300)]
    other = (3, 10, 200, 50, 60, {"phrase": "cat"})
    assert answers(tmp_path, "naming", [*same, other, (2, 400, 200, 50, 60)])
    with pytest.raises(ValueError, match="no record came of it; 1 x nothing to ask"):
        answers(tmp_path, "grounding", [*same, other, (2, 400, 200, 50, 60)])


def test_naming_asks_with_a_box(tmp_path: Path) -> None:
    pairs = answers(tmp_path, "naming", TWO_DOGS_ONE_CAT)
    assert [answer for _, answer in pairs] == ["cat", "dog", "dog"]
    assert boxes_in(pairs[0][0]) == [[156, 417, 625, 625]]


def test_counting_shows_what_it_counts(tmp_path: Path) -> None:
    (_, cat), (_, dogs) = answers(tmp_path, "counting", TWO_DOGS_ONE_CAT)
    assert dogs == f"2: {DOGS}" and cat == f"1: {CAT}"


def test_boxes_come_back_to_pixels_within_rounding(tmp_path: Path) -> None:
    size, given = (1333, 751), [(1, 17.3, 29.9, 411.7, 303.2), (2, 700.1, 5.5, 632.9, 700.0)]
    built("boxes", instances(tmp_path, given, size=size), tmp_path / "out", forms=("detection",))
    found = sorted(box for _, answer in dialogue(tmp_path / "out") for box in boxes_in(answer))
    for scaled, (_, x, y, w, h) in zip(found, given, strict=True):
        for number, side in enumerate((x, y, x + w, y + h)):
            extent = size[number % 2]
            assert abs(scaled[number] * extent / 1000 - side) <= extent / 2000 + 1e-9


def test_classes_with_left_out_objects_are_neither_counted_nor_listed(tmp_path: Path) -> None:
    """A crowd of dogs, a tiny cat: only the single boxes can still be named."""
    boxes = [*TWO_DOGS_ONE_CAT, (1, 0, 0, 600, 400, {"iscrowd": 1}), (2, 5, 5, 0.3, 0.3), (3, 5, 5, 90, 90)]
    out = tmp_path / "out"
    report = built("boxes", instances(tmp_path / "in", boxes), out, questions=99, max_faults=0)
    assert report.rules["crowd region"] == 1 and report.rules["box too small"] == 1 and not report.faults
    forms = report.sides["train"]["forms"]
    assert forms == {"detection": 1, "counting": 1, "grounding": 1, "naming": 4}
    assert not any("<ref>dog" in question for question, _ in dialogue(out))
    assert {reject["reason"] for reject in rejects(out)} == {"crowd region", "box too small"}


def test_an_object_with_a_bad_box_leaves_its_class_incomplete(tmp_path: Path) -> None:
    boxes = [*TWO_DOGS_ONE_CAT, (1, 5, 5, 5, None), (2, 5, 5, -4, 4)]
    report = built("boxes", instances(tmp_path / "in", boxes), tmp_path / "out", max_faults=1, questions=99)
    assert report.faults == {"box without an area": 2}
    assert report.sides["train"]["forms"] == {"naming": 3}


def test_boxes_over_the_border_are_clipped_and_counted(tmp_path: Path) -> None:
    report = built("boxes", instances(tmp_path, [(1, 600, 400, 100, 200)]), tmp_path / "out")
    assert report.rules == {"box clipped to the picture": 1}
    assert all(b == [938, 833, 1000, 1000] for q, a in dialogue(tmp_path / "out") for b in boxes_in(q + a))


def test_too_many_boxes_are_not_listed(tmp_path: Path) -> None:
    boxes = [(1, 10 * n, 10, 8, 8) for n in range(9)]
    out = tmp_path / "out"
    report = built("boxes", instances(tmp_path / "in", boxes), out, max_boxes=8, questions=99)
    assert report.rules["more boxes than max_boxes"] == 1
    assert set(report.sides["train"]["forms"]) == {"naming"}


def test_absent_classes_are_denied(tmp_path: Path) -> None:
    out = tmp_path / "out"
    built("boxes", instances(tmp_path / "in", TWO_DOGS_ONE_CAT), out, absent=5, questions=99)
    denied = [(q, a) for q, a in dialogue(out) if "kite" in q]
    assert len(denied) == 1 and "kite" in denied[0][1] and not boxes_in(denied[0][1])


def test_no_answer_stands_in_an_earlier_turn_of_its_record(tmp_path: Path) -> None:
    """Detection, counting and naming of dogs in one record would let the later copy the earlier."""
    out = tmp_path / "out"
    built("boxes", instances(tmp_path / "in", TWO_DOGS_ONE_CAT), out, questions=99, turns=9)
    for record in records(out):
        values = [turn["value"] for turn in record["conversations"]]
        told = [tuple(box) for n in range(0, len(values), 2) for box in boxes_in(values[n] + values[n + 1])]
        detected = [box for box in told if told.count(box) > 1]
        # A box may be asked about and named in the same turn, never in two turns.
        for box in detected:
            holding = [
                n for n in range(0, len(values), 2) if list(box) in boxes_in(values[n] + values[n + 1])
            ]
            assert len(holding) == 1


@pytest.mark.parametrize(
    ("boxes", "more", "message"),
    [
        ([(9, 1, 1, 5, 5)], {}, r"annotation 0: unknown category_id \(category_id 9; 3 categories"),
        (
            [(1, 700, 1, 5, 5)],
            {},
            r"annotation 0: box outside the picture \(\[700, 1, 705, 6\] of 640 x 480\)",
        ),
        ([(1, 5, 5, 0, 5)], {}, r"annotation 0: box without an area"),
        ([(1, 5, 5, 5, "5")], {}, r"bbox \[5, 5, 5, '5'\] is not 4 numbers"),
        ([(1, 1, 1, 5, 5, {"image_id": 77})], {}, r"annotation 0: unknown image_id \(image_id 77\)"),
        ([(1, 1, 1, 5, 5, {"phrase": "a <box>"})], {}, r"special mark in a text \(<box> in phrase"),
        (
            [],
            {"images": [{"id": 0, "file_name": "no.jpg"}]},
            r"image 0: missing picture \(.*no.jpg\); correct",
        ),
        (
            [],
            {"images": [{"id": 0, "file_name": "../x.jpg"}]},
            r"image 0: path outside the root \(../x.jpg\)",
        ),
        ([], {"images": [{"id": 0, "file_name": "0.jpg", "width": 9}]}, r"has 640 x 480, .* says 9 x 480"),
        ([], {"categories": None}, r"instances.json: no list of objects under 'categories'"),
    ],
)
def test_bad_input_gives_one_clear_line(
    tmp_path: Path, boxes: list[Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        built("boxes", instances(tmp_path / "in", boxes, **more), tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_few_faults_are_left_out_many_stop(tmp_path: Path) -> None:
    boxes = [*TWO_DOGS_ONE_CAT, (1, 900, 1, 5, 5)]
    file = instances(tmp_path / "in", boxes)
    assert built("boxes", file, tmp_path / "a", max_faults=0.5).faults == {"box outside the picture": 1}
    with pytest.raises(ValueError, match=r"1 of 5 items have faults, more than max_faults=0.1; first: "):
        built("boxes", file, tmp_path / "b")
    assert rejects(tmp_path / "b")[0]["fault"] is True
    assert not (tmp_path / "b" / "train.jsonl").exists()


def dota(folder: Path, lines: str, name: str = "P0001") -> Path:
    pictures(folder / "images", [f"{name}.png"], (1000, 500))
    written(folder / "labelTxt" / f"{name}.txt", lines)
    return folder / "labelTxt"


PLANES = (
    "imagesource:GoogleEarth\ngsd:0.146\n"
    "100 100 200 50 250 150 150 200 plane 0\n"
    "500 100 600 100 600 200 500 200 plane 1\n"
    "700.0 300.0 900.0 300.0 900.0 400.0 700.0 400.0 ship 0\n"
)


def test_rotated_boxes_become_upright(tmp_path: Path) -> None:
    built("remote", dota(tmp_path, PLANES), tmp_path / "out", forms=("detection",))
    assert sorted(answer for _, answer in dialogue(tmp_path / "out")) == [
        "<ref>plane</ref><box>[[100, 100, 250, 400], [500, 200, 600, 400]]</box>",
        "<ref>ship</ref><box>[[700, 600, 900, 800]]</box>",
    ]


def test_rotated_boxes_may_keep_their_corners(tmp_path: Path) -> None:
    built("remote", dota(tmp_path, PLANES), tmp_path / "out", forms=("detection",), rotated=True)
    first = sorted(answer for _, answer in dialogue(tmp_path / "out"))[0]
    quads = json.loads(re.findall("<quad>(.*)</quad>", first)[0])
    assert quads == [[100, 200, 200, 100, 250, 300, 150, 400], [500, 200, 600, 200, 600, 400, 500, 400]]


def test_difficult_objects_by_rule(tmp_path: Path) -> None:
    labels = dota(tmp_path, PLANES)
    report = built("remote", labels, tmp_path / "out", difficult="skip", forms=("detection",))
    assert report.rules == {"marked as difficult": 1}
    assert report.sides["train"]["forms"] == {"detection": 1}  # planes are no longer complete


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1 2 3 plane 0", r"P0001.txt:1: row can't be read \(5 words instead of 8 numbers"),
        ("1 2 3 4 5 6 7 x plane 0", r"P0001.txt:1: box without an area \(could not convert"),
    ],
)
def test_bad_rotated_lines(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        built("remote", dota(tmp_path, lines), tmp_path / "out")
