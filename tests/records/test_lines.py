"""Offsets of lines: those that a reader of lines finds, whatever the size of the blocks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.records.files import lines
from tessera.records.files.lines import line_offsets

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


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXT, st.integers(1, 9))
def test_offsets_are_those_of_a_simple_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, block: int
) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    file = tmp_path / "a.jsonl"
    file.write_bytes(data)
    pieces = [
        (s, n) for starts, numbers in lines._full_lines(file) for s, n in zip(starts, numbers, strict=True)
    ]
    assert pieces == naive(data)


def test_offsets_are_cached_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"one\n\ntwo\n")
    offsets, numbers = line_offsets(file)
    assert (offsets.tolist(), numbers.tolist()) == ([0, 5], [1, 3])
    assert isinstance(offsets, np.memmap)
    monkeypatch.setattr(lines, "_write", None)  # a second build would fail
    assert line_offsets(file)[0].tolist() == [0, 5]
    monkeypatch.undo()
    file.write_bytes(b"six\n\nten\n")
    os.utime(file, ns=(1, 1))
    assert line_offsets(file)[0].tolist() == [0, 5]
    file.write_bytes(b"longer\n")
    assert line_offsets(file)[0].tolist() == [0]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert line_offsets(tmp_path / "a.jsonl")[0].tolist() == []
