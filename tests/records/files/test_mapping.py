"""Manifests that cost much, hold themselves, or are something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera.records.files.mapping import read_mapping

ENTRY = "a: {annotation: a.jsonl}\n"
TEN = "x-0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(10)) + "}\n"
HOSTILE = {
    "merge keys that double": (
        TEN + "".join(f"x-{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 30)),
        "merge keys copy more than",
    ),
    "an anchor merged a million times": (TEN + "b: {<<: [" + "*a0," * 101 + "]}\n", "merges 101 anchors"),
    "an anchor that merges itself": ("b: &b {<<: *b, c: 1}\n", ""),
    "depth": ("b: " + "[" * 5000, "nested too deep"),
    "a number in base sixty": ("b: 1" + ":59" * 50_000, "is no number of a setting"),
    "a long number": ("b: " + "9" * 5000, "is no number of a setting"),
    "tags of Python": ("b: !!python/object/apply:os.system [ls]", "not YAML"),
    "tags that don't fit": ('b: [!!int ""]', "a value that its tag can't be made of"),
    "a bool that is none": ("b: !!bool maybe", "a value that its tag can't be made of"),
    "a time that is none": ("b: !!timestamp now", "a value that its tag can't be made of"),
    "a date that is none": ("b: 2020-99-99", "month"),
    "a control character": ("b: '\x1b[2J'", "not YAML"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_manifest_is_one_short_error(tmp_path: Path, case: str) -> None:
    """Nine merge keys a line, thirty lines: 9^30 entries."""
    text, said = HOSTILE[case]
    (tmp_path / "m.yaml").write_text(text + "\n" + (ENTRY if "depth" not in case else ""))
    try:
        read_mapping(tmp_path / "m.yaml")
    except ValueError as error:
        assert "m.yaml" in str(error) and said in str(error)
        assert len(str(error)) < 500 and str(error).isprintable()
    else:
        assert not said


def test_what_is_no_manifest_is_told_what_one_looks_like(tmp_path: Path) -> None:
    """Records, a folder and a list were "not JSON"."""
    record = json.dumps({"conversations": []})
    (tmp_path / "a.jsonl").write_text(record)
    (tmp_path / "lines.json").write_text(record + "\n" + record)
    (tmp_path / "array.json").write_text(f"[{record}]")
    (tmp_path / "one.json").write_text(record)
    for place in (tmp_path, *tmp_path.iterdir()):
        with pytest.raises(
            ValueError, match=r"a manifest names the files of records: \{\"photos\": "
        ) as caught:
            read_mapping(place)
        assert ("is a folder" if place == tmp_path else "holds records") in str(caught.value)
    (tmp_path / "m.json").write_bytes('{"a": {}}'.encode("utf-16"))
    with pytest.raises(ValueError, match="it is UTF-16: save it as UTF-8"):
        read_mapping(tmp_path / "m.json")
