"""`tessera classify` and `tessera retrieve` with a pair that knows three colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import tessera
from tessera.cli.main import main
from tests.engine.embedding.fake_pair import FakePair

COLOURS = ("red", "green", "blue")


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two of each colour in class folders; one of the blue ones is red."""
    for name in COLOURS:
        folder = tmp_path / "classes" / name
        folder.mkdir(parents=True)
        for number in range(2):
            shown = "red" if (name, number) == ("blue", 1) else name
            PIL.Image.new("RGB", (8, 8), shown).save(folder / f"{number}.png")
    monkeypatch.setattr(tessera, "load", lambda *_: FakePair())
    return tmp_path / "classes"


def run(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> Any:
    verb, *rest = map(str, words)
    assert main([verb, *rest, "--model", "fake", "--json"]) == code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_classes_in_words(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "classify", pictures / "green", "--labels", "red", "green", "blue", "--top", "2")
    assert [one["classes"][0]["name"] for one in told["pictures"]] == ["green", "green"]
    assert len(told["pictures"][0]["classes"]) == 2
    assert main(["classify", str(pictures), "--labels", "red,blue", "--model", "fake"]) == 0
    assert "red" in capsys.readouterr().out


def test_accuracy_over_class_folders(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run(capsys, "classify", pictures, "--measure")
    assert told["acc1"] == pytest.approx(500 / 6)
    assert told["acc5"] is None
    assert told["mean_per_class_recall"] == pytest.approx(250 / 3)
    worst = min(told["per_class"], key=lambda one: one["recall"])
    assert worst == {"name": "blue", "pictures": 2, "recall": 50.0, "taken_for": "red"}
    (tmp_path / "labels.txt").write_text("red\tcolore rosso\ngreen\tcolore verde\nblue\tcolore blu\n")
    words = ("--labels", tmp_path / "labels.txt", "--language", "it")
    assert run(capsys, "classify", pictures, "--measure", *words)["acc1"] == pytest.approx(500 / 6)


def test_an_index_is_kept_and_asked(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, page = tmp_path / "kept.safetensors", tmp_path / "page.html"
    words = ("retrieve", pictures, "--text", "green", "--text", "something blue", "--top", "1")
    first = run(capsys, *words, "--index", kept, "--page", page)
    assert [one["hits"][0]["picture"] for one in first["queries"]] == ["green/0.png", "blue/0.png"]
    assert first["index"]["added"] == 6
    assert page.read_text().count("<article") == 2
    again = run(capsys, *words, "--index", kept)
    assert (again["index"]["kept"], again["queries"]) == (6, first["queries"])
    alone = run(capsys, "retrieve", kept, "--like", pictures / "red" / "0.png", "--top", "3")
    assert [hit["picture"] for hit in alone["queries"][0]["hits"]] == ["blue/1.png", "red/0.png", "red/1.png"]


def test_an_index_of_other_weights_is_told(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.safetensors"
    run(capsys, "retrieve", pictures, "--index", kept)
    monkeypatch.setattr(tessera, "load", lambda *_: FakePair("2"))
    assert main(["retrieve", str(kept), "--text", "red", "--model", "fake"]) == 2
    assert "mode c, 8 frames, but of other weights or in another number format" in capsys.readouterr().err


def test_texts_by_a_picture(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("all green\nall red\nall blue\n")
    told = run(capsys, "retrieve", captions, "--like", pictures / "red" / "0.png", "--top", "1")
    assert told["queries"][0]["hits"][0]["text"] == "all red"


def test_what_cannot_be_read_gives_another_code(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pictures / "red" / "broken.png").write_bytes(b"no picture")
    told = run(capsys, "retrieve", pictures, "--text", "red", code=1)
    assert "red/broken.png" in told["index"]["unreadable"][0]


FORMS = {
    "pairs.jsonl": "\n".join(
        json.dumps({"image": f"{name}/0.png", "caption": [f"all {name}", f"very {name}"]}) for name in COLOURS
    ),
    "xtd.json": json.dumps(
        {"image_paths": [f"{n}/0.png" for n in COLOURS], "annotations": ["rosso", "verde", "blu"]}
    ),
    "coco.json": json.dumps(
        {
            "images": [{"id": n, "file_name": f"{name}/0.png"} for n, name in enumerate(COLOURS)],
            "annotations": [{"image_id": n, "caption": name} for n, name in enumerate(COLOURS)],
        }
    ),
    "msrvtt.json": json.dumps([{"video": name, "caption": name} for name in ("red", "green")]),
    "flickr.txt": "image,caption\n" + "".join(f"{name}/0.png,all {name}, all of it\n" for name in COLOURS),
}


@pytest.mark.parametrize("form", FORMS)
def test_recall_of_pairs_in_published_forms(
    pictures: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / form).write_text(FORMS[form])
    told = run(capsys, "retrieve", pictures / form, "--recall", "--dual-softmax")
    assert told["by_text"]["at"] == told["by_picture"]["at"] == {"1": 100.0, "5": 100.0, "10": 100.0}


def test_xtd_has_names_and_captions_apart(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two captions are swapped, so one of three queries is right in each direction."""
    (pictures / "names.txt").write_text("red/0.png\ngreen/0.png\nblue/0.png\n")
    (pictures / "it.txt").write_text("rosso\nblu\nverde\n")
    words = ("--recall", "--names", pictures / "names.txt")
    told = run(capsys, "retrieve", pictures / "it.txt", *words)
    assert told["by_text"]["at"]["1"] == told["by_picture"]["at"]["1"] == pytest.approx(100 / 3)


BAD = {
    "--labels: name the classes": ["classify", "{}"],
    "labels: 'cat' stands there twice": ["classify", "{}", "--labels", "cat,cat"],
    "labels: 'missing.txt' is one class, or a file that is not there": [
        *("classify", "{}", "--labels", "missing.txt"),
    ],
    "labels.txt cannot be read": ["classify", "{}", "--labels", "{}/labels.txt"],
    "texts.txt cannot be read": ["retrieve", "{}/texts.txt", "--text", "a"],
    "texts.jsonl cannot be read": ["retrieve", "{}/texts.jsonl", "--recall"],
    "--text: one is empty": ["retrieve", "{}", "--text", "a", "--text", " "],
    "no picture below it": ["classify", "{}/empty", "--labels", "a,b"],
    "no such file": ["classify", "{}/missing.png", "--labels", "a,b"],
    "no label is called so": ["classify", "{}", "--measure", "--labels", "red,green"],
    "has c, g": ["classify", "{}", "--labels", "a,b", "--mode", "z"],
    "--text or --like": ["retrieve", "{}"],
    "go with --recall": ["retrieve", "{}", "--text", "a", "--dual-softmax"],
    "measures pairs": ["retrieve", "{}/red", "--recall", "--text", "a"],
    "no such file or folder": ["retrieve", "{}/missing", "--text", "a"],
    "give a folder of pictures, or captions": ["retrieve", "{}/red/0.png", "--text", "a"],
    "cannot be read": ["retrieve", "{}/bad.safetensors", "--text", "a"],
    "--top 0": ["retrieve", "{}", "--text", "a", "--top", "0"],
    'needs "image" or "video"': ["retrieve", "{}/bad.jsonl", "--recall"],
    "uneven.json: image_paths and annotations must be lists of one length": [
        *("retrieve", "{}/uneven.json", "--recall"),
    ],
    "odd.json: image_paths and annotations must be lists": ["retrieve", "{}/odd.json", "--recall"],
    "coco.json: images and annotations must be lists of objects": ["retrieve", "{}/coco.json", "--recall"],
    "'red/0.png,red' is no head; put image,caption above": ["retrieve", "{}/lines.csv", "--recall"],
    "is not there: name the folder": ["retrieve", "{}/gone.jsonl", "--recall"],
}


@pytest.mark.parametrize("message", BAD)
def test_mistakes_are_one_line(pictures: Path, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (pictures / "bad.safetensors").write_bytes(b"x" * 20)
    (pictures / "bad.jsonl").write_text('{"caption": "red"}\n')
    (pictures / "gone.jsonl").write_text('{"image": "gone.png", "caption": "red"}\n')
    (pictures / "uneven.json").write_text('{"image_paths": ["red/0.png"], "annotations": ["a", "b"]}')
    (pictures / "odd.json").write_text('{"image_paths": 5, "annotations": ["a"]}')
    (pictures / "coco.json").write_text('{"images": 5, "annotations": [1]}')
    (pictures / "lines.csv").write_text("red/0.png,red\ngreen/0.png,green\n")
    for name in ("labels.txt", "texts.txt", "texts.jsonl"):
        (pictures / name).write_bytes("Grün\nBlau\n".encode("utf-16"))
    if "empty" in " ".join(BAD[message]):
        (pictures / "empty").mkdir()
    words = [word.replace("{}", str(pictures)) for word in BAD[message]]
    assert main([*words, "--model", "fake"]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_mark_at_the_beginning_is_no_part_of_a_name(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As editors on Windows write it; a record may hold a line separator within."""
    file = tmp_path / "labels.txt"
    file.write_text("red\ngreen\nblue\n", encoding="utf-8-sig")
    assert run(capsys, "classify", pictures, "--measure", "--labels", file)["classes"] == 3
    file.write_text("{c}\n", encoding="utf-8-sig")
    assert run(capsys, "classify", pictures, "--labels", "red,blue", "--prompt", file)["pictures"]
    said = json.dumps({"image": "red/0.png", "caption": "red\u2028red"}, ensure_ascii=False)
    (pictures / "pairs.jsonl").write_text(f"{said}\n", encoding="utf-8-sig")
    assert run(capsys, "retrieve", pictures / "pairs.jsonl", "--recall")["by_text"]["at"]["1"] == 100
    assert run(capsys, "retrieve", pictures / "pairs.jsonl", "--text", "red")["index"]["items"] == 1


def test_a_chat_model_says_what_to_give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.setattr(tessera, "load", lambda *_: object())
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert main(["classify", str(tmp_path), "--labels", "a,b", "--model", "chat"]) == 2
    assert "give a contrastive pair" in capsys.readouterr().err
