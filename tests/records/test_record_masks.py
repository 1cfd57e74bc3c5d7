"""The list `masks` of a record: three spellings of one mask, and what is said about wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tessera.imaging.masks.overlay import mask_picture
from tessera.imaging.masks.rle import encode_mask
from tessera.records.faults import DataError
from tessera.records.manifest import read_meta
from tessera.records.masks import RecordMask, read_masks
from tessera.records.open import open_sources
from tessera.records.readers.records import RecordReader

SQUARE = np.zeros((20, 30), dtype=np.bool_)
SQUARE[5:11, 3:9] = True
POLYGON = [[3, 5, 8, 5, 8, 10, 3, 10]]


def read(folder: Path, masks: Any, answer: str = "here [SEG]", images: int = 1) -> tuple[RecordMask, ...]:
    PIL.Image.new("RGB", (30, 20), "white").save(folder / "a.png")
    PIL.Image.new("RGB", (20, 30), "white").save(folder / "b.png")
    mask_picture(SQUARE).save(folder / "mask.png")
    question = "<image>\n" * images + "where?"
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    record = {"image": ["a.png", "b.png"][:images] if images > 1 else "a.png", "conversations": turns}
    record |= {} if masks is None else {"masks": masks}
    (folder / "records.jsonl").write_text(json.dumps(record) + "\n")
    (folder / "meta.json").write_text(json.dumps({"own": {"root": ".", "annotation": "records.jsonl"}}))
    (entry,) = open_sources(read_meta(str(folder / "meta.json")))
    assert isinstance(entry.source, RecordReader)
    return read_masks(entry.source, 0, ["[SEG]"])


def test_three_spellings(tmp_path: Path) -> None:
    code = encode_mask(SQUARE)
    for entry in (code, "mask.png", POLYGON, {"size": [20, 30], "counts": runs(SQUARE)}):
        (mask,) = read(tmp_path, [entry])
        assert mask.picture == 0 and np.array_equal(mask.pixels(), SQUARE), entry
    other = encode_mask(SQUARE.T)
    two = [{"image": 1, "mask": other}, {"image": 0, "mask": "mask.png"}]
    first, second = read(tmp_path, two, "[SEG] and [SEG]", images=2)
    assert (first.picture, second.picture) == (1, 0)
    assert np.array_equal(first.pixels(), SQUARE.T) and np.array_equal(second.pixels(), SQUARE)
    assert read(tmp_path, None, "nothing") == read(tmp_path, [], "nothing") == ()


def runs(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed runs, counted one pixel at a time."""
    found, last = [0], False
    for value in mask.ravel(order="F").tolist():
        if value != last:
            found.append(0)
            last = value
        found[-1] += 1
    return found


@pytest.mark.parametrize(
    ("masks", "answer", "images", "match"),
    [
        (None, "here [SEG]", 1, r"masks: bad field .0 masks, but the answers hold 1 \[SEG\]"),
        (["mask.png"], "nothing", 1, r"1 masks, but the answers hold 0 \[SEG\]"),
        ("mask.png", "[SEG]", 1, "masks: bad field .'mask.png' is no list"),
        (["gone.png"], "[SEG]", 1, r"masks\[0\]: .*gone.png"),
        (["../mask.png"], "[SEG]", 1, r"masks\[0\]: path outside the root"),
        ([{"size": [20, 30], "counts": [1]}], "[SEG]", 1, r"masks\[0\].*counts add up to 1, but size"),
        ([encode_mask(SQUARE.T)], "[SEG]", 1, r"masks\[0\].*20 x 30 pixels, the picture has 30 x 20"),
        ([[[1, 2, 3]]], "[SEG]", 1, r"masks\[0\].*polygon 0: \[1, 2, 3\] is no list of three or more x, y"),
        ([7], "[SEG]", 1, r"masks\[0\].*7 is no run-length code"),
        (["mask.png"], "[SEG]", 2, r"masks\[0\].*which picture"),
        ([{"image": 2, "mask": "mask.png"}], "[SEG]", 2, r"masks\[0\].*image = 2, of 2 pictures"),
    ],
)
def test_faults(tmp_path: Path, masks: Any, answer: str, images: int, match: str) -> None:
    with pytest.raises(DataError, match=match) as found:
        read(tmp_path, masks, answer, images)
    assert "records.jsonl:1" in str(found.value)
