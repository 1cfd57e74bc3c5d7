"""JSON of other people: whatever is wrong in it is a ValueError with file and key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tessera.runtime.config import Config
from tessera.runtime.json_file import Section, read_object


class Sides(Config):
    """Something to build."""

    width: int


BROKEN = {
    "half": b'{"a": 1',
    "latin": b'{"a": "\xe9"}',
    "a list": b"[]",
    "nothing": b"",
    "deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_object(name: str, tmp_path: Path) -> None:
    """Deep nesting was a RecursionError, digits a bare ValueError without the file's name."""
    path = tmp_path / "config.json"
    path.write_bytes(BROKEN[name])
    with pytest.raises(ValueError, match=r"config\.json"):
        read_object(path)


def test_a_file_that_is_too_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b" " * 2000 + b"{}")
    with pytest.raises(ValueError, match="config.json is no JSON .more than"):
        read_object(path, most=1000)


READERS: dict[str, Callable[[Section, str], Any]] = {
    "section": Section.section,
    "part": Section.part,
    "sections": Section.sections,
    "whole": Section.whole,
    "number": Section.number,
    "numbers": Section.numbers,
    "flag": Section.flag,
    "text": Section.text,
    "texts": Section.texts,
}
VALUES = ["null", "true", "[]", '["a"]', "[1, NaN]", "[1]", "{}", '{"a": 1}', '"a"', "1", "1.5", "-1"]
VALUES += ["NaN", "Infinity", "1e999", "9" * 400]
FITTING = {
    "section": {"{}", '{"a": 1}'},
    "part": {"{}", '{"a": 1}'},
    "sections": {"[]", "{}"},
    "whole": {"1", "-1"},
    "number": {"1", "1.5", "-1"},
    "numbers": {"[]", "[1]"},
    "flag": {"true", "1"},
    "text": {'"a"'},
    "texts": {"[]", '["a"]'},
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_its_type_and_names_the_rest(reader: str) -> None:
    for value in VALUES:
        section = Section("config.json: part", {"key": json.loads(value)})
        if value in FITTING[reader]:
            READERS[reader](section, "key")
        else:
            with pytest.raises(ValueError, match=r"config\.json: part\.key = .*needed here; fetch"):
                READERS[reader](section, "key")


def test_what_is_absent_is_its_default_or_missing() -> None:
    empty = Section("config.json")
    assert (empty.whole("a", 3), empty.number("a", 0.5), empty.text("a", "b"), empty.flag("a", True)) == (
        3,
        0.5,
        "b",
        True,
    )
    assert empty.part("a").where == "config.json: a" and not empty.part("a").content
    with pytest.raises(ValueError, match="config.json: 'a' is missing"):
        empty.whole("a")


def test_nulls_can_be_left_out() -> None:
    section = Section("config.json", {"a": None, "b": None, "c": 1})
    assert section.without_nulls("a").content == {"b": None, "c": 1}
    assert section.without_nulls().content == {"c": 1}


def test_settings_are_built_with_the_files_name() -> None:
    with pytest.raises(ValueError, match="config.json: part.width = 'wide': .*valid integer"):
        Section("config.json: part").build(Sides, width="wide")
