"""A dataset in two parts: no record in both, none lost, the same ones whatever is added behind them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tessera.records.identity import identity
from tessera.records.manifest import DatasetSpec, read_meta
from tessera.records.open import open_sources
from tessera.records.readers.records import RecordReader, held_out
from tessera.records.source import WeightedSource


def write(folder: Path, count: int, **entry: object) -> DatasetSpec:
    lines = [
        {"id": n, "conversations": [{"from": "human", "value": f"q{n}"}, {"from": "gpt", "value": str(n)}]}
        for n in range(count)
    ]
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    meta = {"talk": {"root": ".", "annotation": "records.jsonl", **entry}}
    (folder / "meta.json").write_text(json.dumps(meta))
    return read_meta(folder / "meta.json")[0]


def numbers(spec: DatasetSpec) -> list[int]:
    reader = RecordReader(spec)
    return [reader.record(index)["id"] for index in range(reader.size)]  # type: ignore[index]


def test_two_parts_make_the_whole(tmp_path: Path) -> None:
    parts = [numbers(write(tmp_path, 500, held_out=0.1, part=part)) for part in ("training", "held_out")]
    assert sorted(parts[0] + parts[1]) == numbers(write(tmp_path, 500)) == list(range(500))
    assert 30 <= len(parts[1]) <= 70
    assert max(np.diff(parts[1])) > 1 + min(np.diff(parts[1])), "spread, not every tenth"


def test_places_and_conversations_are_those_of_the_part(tmp_path: Path) -> None:
    spec = write(tmp_path, 80, held_out=0.2, part="held_out")
    reader, chosen = RecordReader(spec), numbers(spec)
    assert [reader.place(i)[1] for i in range(reader.size)] == [n + 1 for n in chosen]
    assert [reader.conversation(i).messages[1].parts[0].text for i in range(reader.size)] == [
        *map(str, chosen)
    ]  # type: ignore[union-attr]
    rest = reader.without({reader.place(0)})
    assert [rest.place(i)[1] for i in range(rest.size)] == [n + 1 for n in chosen[1:]]


def test_records_that_are_added_move_none_of_those_before() -> None:
    few, many = held_out(1000, 0.02), held_out(5000, 0.02)
    assert np.array_equal(few, many[:1000])
    assert 0.015 < many.mean() < 0.025
    assert np.all(held_out(5000, 0.05)[many])  # a larger share keeps what was held out


@pytest.mark.parametrize(("records", "share"), [(2, 0.001), (3, 0.999), (40, 0.001), (40, 0.999)])
def test_neither_part_is_empty(records: int, share: float) -> None:
    assert 0 < held_out(records, share).sum() < records


def test_a_run_notices_another_part(tmp_path: Path) -> None:
    """The parts are data: a run that goes on with others would have seen what it is measured on."""
    told = [
        identity(WeightedSource(RecordReader(write(tmp_path, 50, held_out=share, part="training"))))
        for share in (0.1, 0.2)
    ]
    assert told[0] != told[1]


def test_a_part_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"talk: part: training needs held_out"):
        write(tmp_path, 5, part="training")
    with pytest.raises(ValueError, match=r"has no records"):
        open_sources([write(tmp_path, 1, held_out=0.1, part="held_out")])
