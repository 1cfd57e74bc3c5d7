"""Offsets of lines: those that a reader of lines finds, whatever the size of the blocks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.records.readers import json_bounds
from tessera.records.readers.json_bounds import line_bounds
from tessera.records.readers.json_file import JsonFile

TEXT = st.lists(st.sampled_from([b"a", b" ", b"\n", b"\r\n", b"\t", b"bc d", b"\n\n"]), max_size=40).map(
    b"".join
)


def naive(data: bytes) -> list[tuple[int, int]]:
    """Line by line."""
    found, position = [], 0
    for number, line in enumerate(data.splitlines(keepends=True) if b"\r" not in data else _cut(data), 1):
        if line.strip():
            found.append((position, number))
        position += len(line)
    return found


def _cut(data: bytes) -> list[bytes]:
    pieces = data.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


@settings(max_examples=150, deadline=None)
@given(TEXT, st.integers(1, 9))
def test_offsets_are_those_of_a_simple_reader(data: bytes, block: int) -> None:
    before, json_bounds.BLOCK = json_bounds.BLOCK, block
    try:
        rows = np.concatenate([np.zeros((0, 3)), *line_bounds(io.BytesIO(data))]).astype(int).tolist()
    finally:
        json_bounds.BLOCK = before
    assert [(start, number) for start, _, number in rows] == naive(data)
    whole = _cut(data)
    assert [data[start:end] for start, end, _ in rows] == [line for line in whole if line.strip()]


def test_offsets_are_cached_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a":1}\n\n{}\n')
    table = JsonFile(file)._table
    assert table.tolist() == [[0, 8, 1], [9, 12, 3]]
    assert isinstance(table, np.memmap)
    with monkeypatch.context() as patch:
        patch.setattr(json_bounds, "BLOCK", None)  # a second scan would fail
        assert JsonFile(file)._table[:, 0].tolist() == [0, 9]
    file.write_bytes(b'{"a":1,\n"b":2}\n{}\n')
    assert JsonFile(file)._table[:, 0].tolist() == [0, 8, 15]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert JsonFile(tmp_path / "a.jsonl")._table[:, 0].tolist() == []
