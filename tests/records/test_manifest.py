"""InternVL's meta file: known keys only, every error names dataset and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tessera.records.manifest import DatasetSpec, PlaygroundSource, read_meta

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
        (
            {**ENTRY, "annotation": "a.csv"},
            r"photos.annotation: a.csv; make records of it with tessera data build",
        ),
        ({**ENTRY, "annotation": "a.txt.gz"}, r"photos.annotation: a.txt.gz; give"),
        ({**ENTRY, "system": "\ud800"}, r"photos.system: .* holds half of a surrogate pair"),
        (
            {**ENTRY, "\x1b[2J" + "k" * 9999: 1},
            r"photos: unknown keys \\x1b\[2Jk+… \(10003 characters\); allowed",
        ),
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


def write_yaml(folder: Path, text: str) -> Path:
    file = folder / "manifest.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_yaml_says_the_same_as_json(tmp_path: Path) -> None:
    entry = {**ENTRY, "repeat_time": 1.5, "max_dynamic_patch": 6}
    text = "photos:\n" + "".join(f"  {key}: {json.dumps(value)}\n" for key, value in entry.items())
    assert read_meta(write_yaml(tmp_path, text)) == read_meta(write_meta(tmp_path, {"photos": entry}))


def test_official_entries_keep_their_defaults(tmp_path: Path) -> None:
    (spec,) = read_meta(write_meta(tmp_path, {"photos": ENTRY}))
    assert (spec.format, spec.system, spec.academic, spec.pretraining) == ("auto", None, False, False)
    assert (spec.min_frames, spec.max_frames, spec.frame_sampling) == (8, 32, "random")
    assert (spec.weight, spec.repeat_time, spec.length) == (None, 1.0, None)


def test_anchors_merge_and_may_be_overruled(tmp_path: Path) -> None:
    text = """
x-all: &all {root: /media, data_augment: true}
one: {<<: *all, annotation: a.jsonl}
two: {<<: *all, annotation: b.tar, data_augment: false}
"""
    one, two = read_meta(write_yaml(tmp_path, text))
    assert (one.name, one.root, one.data_augment) == ("one", Path("/media"), True)
    assert (two.name, two.root, two.data_augment) == ("two", Path("/media"), False)


def test_remote_annotations_and_roots_stay_text(tmp_path: Path) -> None:
    entry = {"annotation": "s3://b/x.parquet", "root": "hf://datasets/x/y"}
    (spec,) = read_meta(write_meta(tmp_path, {"photos": entry}))
    assert (spec.annotation, spec.root) == ("s3://b/x.parquet", "hf://datasets/x/y")
    (spec,) = read_meta(write_meta(tmp_path, {"photos": {"annotation": "a.tar"}}), base="s3://b/m")
    assert (spec.annotation, spec.root) == ("s3://b/m/a.tar", "s3://b/m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {annotation: a.jsonl}\na: {annotation: b.jsonl}", "key 'a' stands twice, again in line 2"),
        ("a: {annotation: a.jsonl, root: x, root: y}", "key 'root' stands twice, again in line 1"),
        ("1: {annotation: a.jsonl}", "the name 1 is not text; put it in quotes"),
        ("a: {annotation: a.jsonl, repeat_time: 1e-1}", r"a.repeat_time: '1e-1' is not a number"),
        ("a: {annotation: a.jsonl, repeat_time: .inf}", r"a.repeat_time: inf; it must be above 0"),
        ("a: {annotation: a.jsonl, repeat_time: .nan}", r"a.repeat_time: nan; it must be above 0"),
        ("a: {annotation: a.jsonl, weight: -1}", r"a.weight: -1; it must be above 0"),
        ("a: {annotation: a.jsonl, data_augment: 'yes'}", r"a.data_augment: 'yes' is not true or false"),
        ("a: {annotation: a.jsonl, format: alpaca}", r"a.format: 'alpaca'; choose among auto, internvl"),
        ("a: {annotation: a.jsonl, max_frames: 4}", r"a: min_frames is above max_frames; .* 8 and 32"),
        ("a: {annotation: a.jsonl, min_frames: 0}", r"a.min_frames: 0; it must be above 0"),
        ("a: {annotation: a.jsonl, system: 3}", r"a.system: 3 is not text"),
        ("a: {annotation: a.jsonl, root: null}", r"a.root: None is not text"),
        ('a: {annotation: "a\\0.jsonl"}', r"a.annotation: .* holds a NUL character"),
        ("a: {annotation: a.jsonl, 3: x, name: y}", r"a: unknown keys 3, name; allowed"),
        ("a: !!python/object/apply:os.system [ls]", r"manifest.yaml: not YAML in UTF-8"),
        ("a: *gone", r"manifest.yaml: not YAML in UTF-8"),
        ("- a", r"expected an object; "),
        ("", r"expected an object; "),
        ("x-photos: {annotation: a.jsonl}", r"expected an object; "),
    ],
)
def test_errors_of_yaml_name_their_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_meta(write_yaml(tmp_path, text))


def test_json_keys_stand_once_and_bombs_stay_small(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"a": {"annotation": "a.jsonl", "annotation": "b.jsonl"}}')
    with pytest.raises(
        ValueError, match="key 'annotation' stands twice in one object; correct the meta file"
    ):
        read_meta(tmp_path / "meta.json")
    laughs = "x-0: &a0 [lol]\n" + "".join(
        f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
    )
    with pytest.raises(ValueError, match=r"a.system: \[\[.* is not text") as caught:
        read_meta(write_yaml(tmp_path, laughs + "a: {annotation: a.jsonl, system: *a29}"))
    assert len(str(caught.value)) < 20_000


@pytest.mark.parametrize("settings", [{"format": "alpaca"}, {"annotations": "x"}, {"weight": 0}])
def test_settings_made_in_python_are_checked_too(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        DatasetSpec(name="a", annotation="a.jsonl", root=tmp_path, **settings)
    assert DatasetSpec(name="a", annotation="a.jsonl", root=".").annotation == Path("a.jsonl")


def test_keys_that_are_ignored_are_a_list(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("a:\n  annotation: a.jsonl\n  ignored_keys: [img, frames]\n")
    assert read_meta(tmp_path / "m.yaml")[0].ignored_keys == ("img", "frames")
    for value, words in (("img", "is not a list"), ("[7]", "is not text")):
        (tmp_path / "m.yaml").write_text(f"a:\n  annotation: a.jsonl\n  ignored_keys: {value}\n")
        with pytest.raises(ValueError, match=words):
            read_meta(tmp_path / "m.yaml")
    (tmp_path / "m.yaml").write_text("a:\n  annotation: a.jsonl\n  missing_pictures: leave_out\n")
    with pytest.raises(ValueError, match="pretraining: true"):
        read_meta(tmp_path / "m.yaml")
