"""Ids that stand twice, or once as a number and once as text: told before anything is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.annotations.annotation_files import built, instances, pictures, rejects, rows, written

BOX = (1, 10, 10, 50, 50)


def edited(file: Path, **lists: Any) -> Path:
    file.write_text(json.dumps(json.loads(file.read_text()) | lists))
    return file


@pytest.mark.parametrize(
    ("key", "entries", "message"),
    [
        (
            "images",
            [(1, "a"), (1, "b")],
            r"images 2: id 1 stands twice, in 1 and 2: .*'a'.* and .*'b'.*; number",
        ),
        ("images", [(1, "a"), ("1", "b")], r"images 2: id '1' stands twice"),
        (
            "categories",
            [(1, "dog"), (2, "cat"), (1, "car")],
            r"categories 3: id 1 stands twice, in 1 and 3: .*dog.*car",
        ),
        ("annotations", [(7, "x"), (7, "y")], r"annotations 2: id 7 stands twice"),
        ("images", [(None, "a")], r"images 1: id None; give every entry a number or a text of its own"),
        ("images", [([1], "a")], r"images 1: id \[1\]; give"),
        ("categories", [(True, "a")], r"categories 1: id True; give"),
    ],
)
def test_an_id_that_stands_twice_is_an_error(
    tmp_path: Path, key: str, entries: list[tuple[Any, str]], message: str
) -> None:
    """Two pictures with id 1: the box of the one was taught for both; of two classes the last name won."""
    listed = [{"id": name, "file_name": said, "name": said} for name, said in entries]
    file = edited(instances(tmp_path / "in", [BOX]), **{key: listed})
    with pytest.raises(ValueError, match=message):
        built("boxes", file, tmp_path / "out")
    assert not (tmp_path / "out" / "train.jsonl").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"image_id": "0"}, "image_id '0'; the list has 0, a number: write ids alike"),
        ({"category_id": "1"}, "category_id '1'; the list has 1, a number: write ids alike"),
        ({"image_id": [0]}, "image_id [0]"),
        ({"category_id": {}}, "category_id {}"),
    ],
)
def test_ids_that_differ_in_type_are_told_so(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    """The remedy was "list the picture under 'images'", where it was listed."""
    built("boxes", instances(tmp_path / "in", [BOX, (*BOX, given)]), tmp_path / "out", max_faults=1)
    assert said in rejects(tmp_path / "out")[0]["detail"]


def test_one_picture_under_two_ids_is_an_error(tmp_path: Path) -> None:
    """Neither list of boxes would be complete: "detect every dog" would teach to miss some."""
    images = [{"id": n, "file_name": "0.jpg"} for n in range(2)]
    file = edited(instances(tmp_path / "in", [BOX], count=2), images=images)
    with pytest.raises(
        ValueError, match=r"image 0 and .*image 1 are both about '0.jpg'; put its boxes together"
    ):
        built("boxes", file, tmp_path / "out")


def test_one_page_in_two_rows_and_two_label_files_of_one_picture(tmp_path: Path) -> None:
    pictures(tmp_path, ["a.jpg"])
    line = {"text": "Exit", "box": [10, 10, 90, 60]}
    file = rows(
        tmp_path / "r.jsonl", [{"image": "a.jpg", "lines": [line]}, {"image": "./a.jpg", "lines": [line]}]
    )
    with pytest.raises(ValueError, match="r.jsonl:1 and .*r.jsonl:2 are both about 'a.jpg'"):
        built("ocr", file, tmp_path / "out", root=tmp_path)
    for name in ("a.txt", "gt_a.txt"):
        written(tmp_path / "labels" / name, "10,10,90,60,Exit")
    with pytest.raises(ValueError, match="are both about 'a.jpg'"):
        built("ocr", tmp_path / "labels", tmp_path / "out2", root=tmp_path)


def test_questions_and_answers_of_vqa_stand_once(tmp_path: Path) -> None:
    pictures(tmp_path, ["a.jpg"])
    asked = [{"question_id": n, "image_id": 1, "question": "what?"} for n in (1, 2)]
    said = [{"question_id": n, "multiple_choice_answer": "that"} for n in (1, 2)]

    def build(questions: list[Any], answers: list[Any], out: str) -> None:
        file = written(tmp_path / "q.json", json.dumps({"questions": questions}))
        other = written(tmp_path / "a.json", json.dumps({"annotations": answers}))
        built("vqa", file, tmp_path / out, answers=other, image_name="a.jpg", root=tmp_path, max_faults=1)

    with pytest.raises(ValueError, match="q.json: questions 3: question_id 1 stands twice"):
        build([*asked, asked[0]], said, "1")
    with pytest.raises(ValueError, match="a.json: annotations 3: question_id 2 stands twice"):
        build(asked, [*said, said[1]], "2")
    build(asked, [said[0], said[1] | {"question_id": "2"}], "3")
    assert "the list has '2', a text: write ids alike" in rejects(tmp_path / "3")[0]["detail"]


def test_a_key_of_json_and_a_column_stand_once(tmp_path: Path) -> None:
    """Of two scenes with one name, and two columns, the last won."""
    scene = '"s": {"key_frames": {}}'
    with pytest.raises(ValueError, match=r"d.json: key 's' stands twice in one object"):
        built("views", written(tmp_path / "d.json", f"{{{scene}, {scene}}}"), tmp_path / "out")
    table = written(tmp_path / "t.csv", "image,caption,image\na.jpg,x,b.jpg\n")
    with pytest.raises(ValueError, match=r"t.csv:1: two columns are called 'image'"):
        built("captions", table, tmp_path / "out2")
