"""InternVL's meta file: known keys only, every error names dataset and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tessera.data.manifest import PlaygroundSource, read_meta

ENTRY = {"root": "pictures", "annotation": "a.jsonl", "data_augment": True}


def write_meta(folder: Path, entries: Any) -> Path:
    file = folder / "meta.json"
    file.write_text(json.dumps(entries))
    return file


def test_all_keys(tmp_path: Path) -> None:
    entry = {**ENTRY, "max_dynamic_patch": 6, "repeat_time": 0.5, "length": 100}
    (spec,) = read_meta(write_meta(tmp_path, {"photos": entry}))
    assert spec.name == "photos"
    assert spec.annotation == tmp_path / "a.jsonl"
    assert spec.root == tmp_path / "pictures"
    assert (spec.data_augment, spec.max_dynamic_patch, spec.repeat_time) == (True, 6, 0.5)


def test_paths_may_start_elsewhere_or_be_absolute(tmp_path: Path) -> None:
    file = write_meta(tmp_path, {"photos": {**ENTRY, "root": "/media"}})
    (spec,) = read_meta(file, base="/data")
    assert spec.annotation == Path("/data/a.jsonl")
    assert spec.root == Path("/media")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**ENTRY, "repeat": 2}, r"photos: unknown keys repeat; allowed: annotation, root"),
        ({**ENTRY, "repeat_time": "2"}, r"photos.repeat_time: '2' is not a number"),
        ({**ENTRY, "repeat_time": 0}, r"photos.repeat_time: 0; it must be above 0"),
        ({**ENTRY, "data_augment": 1}, r"photos.data_augment: 1 is not true or false"),
        ({**ENTRY, "max_dynamic_patch": 0}, r"photos.max_dynamic_patch: 0; it must be above 0"),
        ({"root": "x"}, r"photos.annotation: missing; give the path of a file that ends in .jsonl"),
        ({**ENTRY, "annotation": "a.csv"}, r"photos.annotation: a.csv; give"),
        ([], r"photos: \[\] is not an object"),
    ],
)
def test_errors_name_dataset_and_key(tmp_path: Path, entry: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_meta(write_meta(tmp_path, {"photos": entry}))


def test_not_json_and_not_there(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text("{")
    with pytest.raises(ValueError, match=r"meta.json: not JSON in UTF-8"):
        read_meta(tmp_path / "meta.json")
    with pytest.raises(ValueError, match=r"other.json: no such file"):
        read_meta(tmp_path / "other.json")


@pytest.mark.parametrize("field", [{"suites": {"shapez": 1}}, {"tasks": ("counting",)}, {"levels": {9: 1}}])
def test_playground_settings_name_what_exists(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="unknown; choose among"):
        PlaygroundSource(**field)
