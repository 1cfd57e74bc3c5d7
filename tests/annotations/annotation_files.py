"""Tiny annotation files of every kind, and the check that all tests of builds share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import PIL.Image

from tessera.annotations.build import KINDS, BuildReport, build
from tessera.chat.message import Image
from tessera.imaging.decode import read_size
from tessera.records.manifest import read_meta
from tessera.records.readers.records import RecordReader

SIZE = (640, 480)
_BOXES = re.compile(r"<box>(.*?)</box>")


def pictures(folder: Path, names: Iterable[str], size: tuple[int, int] = SIZE) -> None:
    """Plain pictures below a folder."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", size, (len(name) * 9 % 255, 80, 120)).save(file)


def instances(
    folder: Path, boxes: Sequence[Sequence[Any]], count: int = 1, size: tuple[int, int] = SIZE, **more: Any
) -> Path:
    """A COCO file: every one of `count` pictures has the boxes, each (category, x, y, w, h[, extra keys])."""
    pictures(folder, [f"{n}.jpg" for n in range(count)], size)
    annotations = [
        {"id": n * 100 + k, "image_id": n, "category_id": box[0], "bbox": list(box[1:5]), "iscrowd": 0}
        | (box[5] if len(box) > 5 else {})
        for n in range(count)
        for k, box in enumerate(boxes)
    ]
    content = {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "width": size[0], "height": size[1]} for n in range(count)
        ],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 3, "name": "kite"}],
        "annotations": annotations,
    } | more
    return written(folder / "instances.json", json.dumps(content))


def written(file: Path, text: str) -> Path:
    """A text file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def rows(file: Path, entries: Iterable[object]) -> Path:
    """A JSONL file."""
    return written(file, "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries))


def built(kind: str, annotations: Path, out: Path, **settings: Any) -> BuildReport:
    """Build, and check every record as training would read it, pictures included."""
    made = KINDS[kind].settings(annotations=annotations, out=out, **settings)
    report = build(kind, made)
    for side, counts in report.sides.items():
        (spec,) = read_meta(out / ("meta.json" if side == "train" else "meta_val.json"))
        if not counts["records"]:
            continue
        reader = RecordReader(spec)
        assert reader.size == counts["records"]
        for number in range(reader.size):
            record: Any = reader.record(number)
            sizes = [read_size(part.source) for part in reader.conversation(number).media if _picture(part)]
            one = [(record["width"], record["height"])] if "width" in record else None
            assert sizes == (one or list(zip(record["width_list"], record["height_list"], strict=True)))
    return report


def _picture(part: object) -> bool:
    return isinstance(part, Image)


def records(out: Path, side: str = "train") -> list[dict[str, Any]]:
    """The records that were written."""
    return [json.loads(line) for line in (out / f"{side}.jsonl").read_text(encoding="utf-8").splitlines()]


def dialogue(out: Path, side: str = "train") -> list[tuple[str, str]]:
    """Question and answer of every turn."""
    pairs = []
    for record in records(out, side):
        values = [turn["value"] for turn in record["conversations"]]
        pairs += list(zip(values[::2], values[1::2], strict=True))
    return pairs


def rejects(out: Path) -> list[dict[str, Any]]:
    """What was left out."""
    return [json.loads(line) for line in (out / "rejects.jsonl").read_text(encoding="utf-8").splitlines()]


def boxes_in(text: str) -> list[list[int]]:
    """All boxes of a text."""
    return [box for found in _BOXES.findall(text) for box in json.loads(found)]
