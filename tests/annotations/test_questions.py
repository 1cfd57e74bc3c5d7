"""Class folders, questions and answers, captions: candidate lists, VQAv2's files, tables."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.annotations.annotation_files import built, dialogue, pictures, records, rejects, rows, written

CLASSES = ("bee", "cow", "dog", "elk", "fox")


def class_folders(folder: Path, count: int = 4, classes: tuple[str, ...] = CLASSES) -> Path:
    pictures(folder, [f"{name}/{n}.jpg" for name in classes for n in range(count)])
    return folder


def test_candidates_hold_the_answer_in_every_place_alike(tmp_path: Path) -> None:
    out = tmp_path / "out"
    built("classes", class_folders(tmp_path / "in"), out, distractors=3, style="letters")
    letters = Counter(answer for _, answer in dialogue(out))
    assert letters == {"A": 5, "B": 5, "C": 5, "D": 5}
    for record in records(out):
        question, answer = (turn["value"] for turn in record["conversations"])
        options = dict(line.split(". ") for line in question.splitlines() if line[1:3] == ". ")
        assert len(set(options.values())) == 4
        assert options[answer] == record["image"].split("/")[0]


def test_candidates_by_name(tmp_path: Path) -> None:
    out = tmp_path / "out"
    built("classes", class_folders(tmp_path / "in"), out, distractors=9, language="zh")
    places: Counter[int] = Counter()
    for record in records(out):
        question, answer = (turn["value"] for turn in record["conversations"])
        found = sorted((question.index(name), name) for name in CLASSES)
        assert "、" in question and answer == record["image"].split("/")[0]
        places[[name for _, name in found].index(answer)] += 1
    assert places == dict.fromkeys(range(5), 4)


def test_names_for_folders(tmp_path: Path) -> None:
    names = written(tmp_path / "names.txt", "n01 tench, Tinca tinca\nn02 goldfish\n")
    folders = class_folders(tmp_path / "in", 2, ("n01", "n02"))
    built("classes", folders, tmp_path / "out", names=names, style="open")
    assert {answer for _, answer in dialogue(tmp_path / "out")} == {"tench, Tinca tinca", "goldfish"}


@pytest.mark.parametrize(
    ("classes", "settings", "message"),
    [
        (("a",), {}, "1 class; candidates need two"),
        (("a", "b"), {"style": "letters", "distractors": 26}, "letters end at Z"),
        (("a", "<ref>"), {}, "special mark in a text .* rename the folder"),
    ],
)
def test_class_folders_that_make_no_sense(
    tmp_path: Path, classes: tuple[str, ...], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        built("classes", class_folders(tmp_path / "in", 1, classes), tmp_path / "out", **settings)


def test_an_empty_class_folder_is_an_error(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "in", 1)
    (folder / "gnu").mkdir()
    with pytest.raises(ValueError, match="gnu: no pictures in the folder of a class"):
        built("classes", folder, tmp_path / "out")


def vqa_v2(folder: Path) -> tuple[Path, Path]:
    pictures(folder, [f"COCO_val2014_{n:012d}.jpg" for n in (3, 4)])
    asked = [(1, 3, "What is this?"), (2, 4, "Why?"), (3, 3, "How many?"), (4, 4, "No answer?")]
    questions = {
        "data_subtype": "val2014",
        "questions": [{"question_id": q, "image_id": i, "question": text} for q, i, text in asked],
    }
    answers = {
        "annotations": [
            {"question_id": 1, "image_id": 3, "multiple_choice_answer": "a red bus"},
            {
                "question_id": 2,
                "image_id": 4,
                "answers": [{"answer": "rain"}] + [{"answer": "it is wet"}] * 2,
            },
            {"question_id": 3, "image_id": 3, "multiple_choice_answer": "several of them, far away"},
        ]
    }
    return (
        written(folder / "questions.json", json.dumps(questions)),
        written(folder / "annotations.json", json.dumps(answers)),
    )


def test_vqa_v2_joins_by_id_and_picture(tmp_path: Path) -> None:
    questions, answers = vqa_v2(tmp_path / "in")
    report = built("vqa", questions, tmp_path / "out", answers=answers, max_faults=0.5)
    assert report.faults == {"question without answer": 1}
    assert report.sides["train"] == {
        "records": 2,
        "turns": 3,
        "pictures": 2,
        "forms": {"plain": 1, "short": 2},
    }
    by_answer = {answer: question for question, answer in dialogue(tmp_path / "out")}
    assert set(by_answer) == {"a red bus", "several of them, far away", "it is wet"}
    assert by_answer["several of them, far away"] == "How many?"
    assert by_answer["a red bus"].startswith("<image>\nWhat is this?") and len(by_answer["a red bus"]) > 25
    assert rejects(tmp_path / "out")[0]["place"].endswith("question 4")


def test_vqa_v2_needs_a_name_for_pictures(tmp_path: Path) -> None:
    questions, answers = vqa_v2(tmp_path / "in")
    questions.write_text(questions.read_text().replace("data_subtype", "x"))
    with pytest.raises(ValueError, match="image_name: the files don't say which"):
        built("vqa", questions, tmp_path / "out", answers=answers)
    built("vqa", questions, tmp_path / "b", answers=answers, max_faults=1,
          image_name="COCO_val2014_{image_id:012d}.jpg")  # fmt: skip
    with pytest.raises(ValueError, match="image_name: '{id}.jpg' doesn't take image_id 3"):
        built("vqa", questions, tmp_path / "c", answers=answers, image_name="{id}.jpg")


def test_tables_with_quoted_lines_and_choices(tmp_path: Path) -> None:
    pictures(tmp_path, ["a.jpg"])
    file = written(
        tmp_path / "q.csv",
        "\ufeffimage, question,answer,choices\n"
        'a.jpg,"Which, of\nthese?",two,one|two|three\n'
        'a.jpg,And now?,2,"[""x"", ""y"", ""z""]"\n'
        "a.jpg,And this?,B,one|two\n",
    )
    built("vqa", file, tmp_path / "out", turns=9)
    pairs = dialogue(tmp_path / "out")
    assert [answer for _, answer in pairs] == ["B", "C", "B"]
    assert "Which, of\nthese?" in pairs[0][0] and "A. one\nB. two\nC. three" in pairs[0][0]


def test_majority_of_several_answers(tmp_path: Path) -> None:
    pictures(tmp_path, ["a.jpg"])
    entries = [{"image": "a.jpg", "question": "q?", "answers": ["x", "y", "y"]},
               {"image": "a.jpg", "question": "r?", "answer": 4}]  # fmt: skip
    built("vqa", rows(tmp_path / "q.jsonl", entries), tmp_path / "out")
    assert [answer for _, answer in dialogue(tmp_path / "out")] == ["y", "4"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.csv", "image,query\na.jpg,x\n", r"q.csv:1: the header image, query has no column 'answer'"),
        ("q.csv", "", r"q.csv:1: the header \(empty\) has no column 'image' or 'image_path'"),
        ("q.csv", "image,question,answer\na.jpg,x\n", r"q.csv:2: row can't be read \(not 3 columns"),
        ("q.csv", 'image,question,answer\na.jpg,"x,y\n', r"q.csv: behind line 1: .*; correct the quotes"),
        ("q.csv", "image,question,answer\nb.jpg,x,y\n", r"q.csv:2: missing picture \(.*b.jpg\); correct the"),
        ("q.csv", "image,question,answer\na.jpg,x, \n", r"q.csv:2: empty text \(answer ' '\)"),
        ("q.csv", "image,question,answer\na.jpg,x,<img>\n", r"special mark in a text \(<img> in answer"),
        ("q.csv", "image,question,answer,choices\na.jpg,x,d,a|b\n", r"question without answer \('d' is none"),
        ("q.jsonl", '{"image": "a.jpg"\n', r"q.jsonl:1: row can't be read \(Expecting"),
        ("q.jsonl", '{"image": "a.jpg", "answer": 1}\n', r"q.jsonl:1: row can't be read \(no 'question' or"),
        ("q.jsonl", "[1]\n", r"q.jsonl:1: row can't be read \(list instead of an object\)"),
        ("q.xml", "", r"q.xml: .xml ending; rows come as"),
    ],
)
def test_bad_rows_give_one_clear_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    pictures(tmp_path, ["a.jpg"])
    with pytest.raises(ValueError, match=message) as caught:
        built("vqa", written(tmp_path / name, text), tmp_path / "out")
    assert "\n" not in str(caught.value)


def coco_captions(folder: Path) -> Path:
    pictures(folder, ["1.jpg", "2.jpg"])
    content = {
        "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 2, "caption": "A cat. "},
            {"id": 2, "image_id": 1, "caption": "A dog."},
            {"id": 3, "image_id": 2, "caption": "Some cat."},
        ],
    }
    return written(folder / "captions.json", json.dumps(content))


def test_captions_all_or_one_of_each_picture(tmp_path: Path) -> None:
    file = coco_captions(tmp_path / "in")
    built("captions", file, tmp_path / "all")
    assert [answer for _, answer in dialogue(tmp_path / "all")] == ["A dog.", "A cat.", "Some cat."]
    built("captions", file, tmp_path / "one", per_picture="one")
    assert [record["image"] for record in records(tmp_path / "one")] == ["1.jpg", "2.jpg"]


def test_captions_from_a_table(tmp_path: Path) -> None:
    pictures(tmp_path, ["a.jpg"])
    built("captions", written(tmp_path / "c.tsv", "file_name\ttext\na.jpg\tA, b.\n"), tmp_path / "out")
    assert dialogue(tmp_path / "out")[0][1] == "A, b."
    with pytest.raises(ValueError, match=r"c.csv:1: the header a, b has no column 'image'"):
        built("captions", written(tmp_path / "c.csv", "a,b\n1,2\n"), tmp_path / "x")
