"""What all kinds share: the split, the same output for the same input, copies, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera.annotations.pictures import Picture
from tessera.annotations.rejects import Rejected, SkipReason
from tessera.annotations.writer import Split
from tessera.cli.main import main as tessera
from tests.annotations.annotation_files import built, instances, pictures, records, rejects, rows

BOXES = [(1, 300, 20, 50, 60), (1, 10, 20, 50, 60), (2, 100, 200, 300, 100)]


def main(words: list[str]) -> int:
    return tessera(["data", "build", *words])


def shown(out: Path, side: str) -> set[str]:
    found = [record["image"] for record in records(out, side)]
    return {name for names in found for name in ([names] if isinstance(names, str) else names)}


def test_no_picture_is_on_both_sides(tmp_path: Path) -> None:
    file, out = instances(tmp_path / "in", BOXES, count=60), tmp_path / "out"
    report = built("boxes", file, out, val=0.3)
    train, val = shown(out, "train"), shown(out, "val")
    assert not train & val and len(train | val) == 60
    assert 8 <= len(val) <= 28
    assert report.sides["val"]["records"] == len(records(out, "val")) > len(val)
    built("boxes", file, tmp_path / "other", val=0.3, seed=1)
    assert shown(tmp_path / "other", "val") != val


def test_a_picture_keeps_its_side_when_others_come(tmp_path: Path) -> None:
    few = instances(tmp_path / "few", BOXES, count=20)
    many = instances(tmp_path / "many", BOXES, count=40)
    built("boxes", few, tmp_path / "a", val=0.4)
    built("boxes", many, tmp_path / "b", val=0.4)
    assert shown(tmp_path / "a", "val") == shown(tmp_path / "b", "val") & (
        shown(tmp_path / "a", "val") | shown(tmp_path / "a", "train")
    )


def test_views_that_share_pictures_stay_together() -> None:
    split = Split(0.5, 0)
    many = [Picture(f"{n}.jpg", (1, 1)) for n in range(40)]
    sides = {picture.path: split.side((picture,)) for picture in many[:20]}
    train = next(p for p in many[:20] if sides[p.path] == "train")
    val = next(p for p in many[:20] if sides[p.path] == "val")
    for other in many[20:]:
        assert split.side((other, val)) == "val"
        assert split.side((other,)) == "val"
    with pytest.raises(Rejected) as caught:
        split.side((train, val))
    assert caught.value.reason is SkipReason.OTHER_SIDE


def test_moments_across_the_split_are_left_out(tmp_path: Path) -> None:
    names = [f"{n}.jpg" for n in range(12)]
    pictures(tmp_path, names)
    entries = [
        {"views": {"a": first, "b": second}, "question": "q?", "answer": "a"}
        for first, second in [
            *zip(names[::2], names[1::2], strict=True),
            *zip(names[:-2], names[2:], strict=True),
        ]
    ]
    out = tmp_path / "out"
    report = built("views", rows(tmp_path / "m.jsonl", entries), out, val=0.5)
    assert not shown(out, "train") & shown(out, "val")
    kept = sum(side["records"] for side in report.sides.values())
    assert kept + report.rules["picture is on the other side of the split"] == len(entries)
    assert report.rules["picture is on the other side of the split"] > 0


def test_the_same_input_gives_the_same_files(tmp_path: Path) -> None:
    file = instances(tmp_path / "in", BOXES, count=8)
    texts = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        report = built("boxes", file, tmp_path / name, val=0.3, seed=seed, language="both", absent=1)
        texts.append([path.read_bytes() for path in report.files])
    assert texts[0] == texts[1] != texts[2]


def test_pictures_are_referenced_unless_copied(tmp_path: Path) -> None:
    file = instances(tmp_path / "in", BOXES, count=3)
    built("boxes", file, tmp_path / "a")
    assert json.loads((tmp_path / "a" / "meta.json").read_text())["boxes"]["root"] == str(tmp_path / "in")
    assert not list((tmp_path / "a").rglob("*.jpg"))
    built("boxes", file, tmp_path / "b", copy_pictures=True, name="mine", max_dynamic_patch=6)
    entry = json.loads((tmp_path / "b" / "meta.json").read_text())["mine"]
    assert entry == {
        "root": "images",
        "annotation": "train.jsonl",
        "data_augment": True,
        "repeat_time": 1,
        "length": len(records(tmp_path / "b")),
        "max_dynamic_patch": 6,
    }
    assert len(list((tmp_path / "b" / "images").rglob("*.jpg"))) == 3


def test_an_earlier_build_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    file, out = instances(tmp_path / "in", BOXES), tmp_path / "out"
    built("boxes", file, out, val=0.5)
    with pytest.raises(
        ValueError, match=r"train.jsonl is there already; choose another folder, or overwrite"
    ):
        built("boxes", file, out)
    with pytest.raises(ValueError, match=r"0.jpg is no folder; name another"):
        built("boxes", file, tmp_path / "in" / "0.jpg")
    built("boxes", file, out, overwrite=True)
    assert not (out / "val.jsonl").exists(), "a val.jsonl of the earlier build would no longer fit"


def test_the_package_itself_has_the_last_word(tmp_path: Path) -> None:
    """A text that the record format can't hold is rejected by the package's own check, not written."""
    pictures(tmp_path, ["a.jpg"])
    entries = [
        {"image": "a.jpg", "question": "q?", "answer": answer} for answer in ("fine", "<box>[[9]]</box>")
    ]
    report = built("vqa", rows(tmp_path / "q.jsonl", entries), tmp_path / "out", max_faults=1, turns=1)
    assert report.faults == {"record fails the check": 1}
    assert "box out of range" in rejects(tmp_path / "out")[0]["detail"]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = instances(tmp_path / "in", BOXES, count=4), tmp_path / "out"
    arguments = ["boxes", str(file), "--out", str(out), "--val", "0.4", "--forms", "detection", "counting"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "counting" in printed and "naming" not in printed
    assert f"tessera data preview {out / 'meta.json'} -n 20" in printed.replace("\n", "")
    assert main([*arguments, "--overwrite", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((out / "counts.json").read_text())
    assert sum(side["pictures"] for side in found["sides"].values()) == 4


def test_command_says_when_items_were_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = instances(tmp_path / "in", [*BOXES, (7, 1, 1, 5, 5)])
    assert main(["boxes", str(file), "--out", str(tmp_path / "out"), "--max-faults", "0.5"]) == 1
    printed = capsys.readouterr().out
    assert "unknown category_id" in printed and "annotation 3" in printed


def test_command_lists_kinds_and_refuses_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "remote             DOTA-style" in capsys.readouterr().out
    assert main(["boxen"]) == 2
    assert "'boxen' is unknown; did you mean boxes?" in capsys.readouterr().err
    assert main(["--write-templates"]) == 2
    assert "DIR" in capsys.readouterr().err
    assert main(["--write-templates", str(tmp_path / "w")]) == 0
    assert "14 template files" in capsys.readouterr().out
    assert main(["--out", str(tmp_path / "o"), "boxes", str(tmp_path / "none.json")]) == 2
    assert "--out" in capsys.readouterr().err, "options of a kind stand behind it"
    assert main(["boxes", str(tmp_path / "none.json"), "--out", str(tmp_path / "o")]) == 2
    assert "none.json; correct the path" in capsys.readouterr().err
