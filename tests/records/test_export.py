"""Datasets on disk in the released format."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image
import pytest

from tessera.playground.scene import SUITES
from tessera.records.export import split_count, write_dataset


def test_records_and_media_agree(tmp_path: Path) -> None:
    written = write_dataset(tmp_path, count=23, seed=5)
    meta = json.loads(written.meta.read_text())
    assert written.records == 23 == sum(entry["length"] for entry in meta.values())
    assert set(meta) == {f"playground_{suite}" for suite in SUITES}
    for entry in meta.values():
        lines = (tmp_path / entry["annotation"]).read_text().splitlines()
        assert len(lines) == entry["length"]
        for line in lines:
            check_record(json.loads(line), tmp_path / entry["root"])


def check_record(record: dict[str, object], root: Path) -> None:
    turns = record["conversations"]
    assert isinstance(turns, list)
    assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
    human = "".join(turn["value"] for turn in turns if turn["from"] == "human")
    if "video" in record:
        folder = root / str(record["video"])
        assert human.startswith("<video>\n") and human.count("<video>") == 1
        assert sorted(p.name for p in folder.iterdir())[0] == "frame_0.png"
        return
    images = record["image"] if isinstance(record["image"], list) else [record["image"]]
    assert human.count("<image>") == len(images)
    for name in images:
        with PIL.Image.open(root / name) as image:
            assert image.size == (64, 64)


def test_equal_seeds_write_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_dataset(tmp_path / name, {"shapes": 1, "pair": 1}, count=6, seed=2)
    files = sorted(
        p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.[pj]*") if p.name != "meta.json"
    )
    assert len(files) == 3 + 6 + 2
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_shares_add_up() -> None:
    assert split_count({"shapes": 2, "text": 1, "clip": 0}, 10) == {"shapes": 7, "text": 3}
    assert sum(split_count(dict.fromkeys(SUITES, 1.0), 7).values()) == 7


@pytest.mark.parametrize("mix", [{"maps": 1.0}, {"shapes": 0.0}, {"shapes": -1.0}, {}])
def test_bad_mixes_are_refused(mix: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="mix"):
        split_count(mix, 5)
