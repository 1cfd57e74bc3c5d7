"""Parquet files of some kilobytes that stand for gigabytes, and what large files of pictures look like."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tessera.records.readers import parquet, parquet_bounds
from tessera.records.readers.parquet import ParquetRows

arrow = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
TEXT = "x" * 1_000_000


def shared(text: str, count: int) -> Any:
    """A text that stands once and is the value of many rows."""
    return arrow.DictionaryArray.from_arrays(arrow.array([0] * count, arrow.int32()), [text])


BOMBS: dict[str, tuple[Any, str]] = {
    "a value that all rows share": (
        shared(TEXT, 2000),
        "rows unpack more than .* bytes; keep in files what many rows",
    ),
    "inside of lists of objects": ([[{"v": TEXT[:100_000]}]] * 600, "rows unpack more than"),
    "a list of a hundred million": (
        [[0] * 2_000_000] * 5,
        "10000000 values of 5 rows from .*; keep pictures",
    ),
    "a row of lists": ([[0] * 1_200_000, *([[0]] * 50)], "row 1 has .* bytes and 1200001 values, limits"),
    "one value": (["y" * (70 << 20)], "unpacks 734003.. bytes and 1 values of 1 rows from"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_that_unpacks_too_much_is_one_error(
    tmp_path: Path, bomb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six hundred bytes made 64 rows of 5 MB at a time, and an index without end."""
    column, said = BOMBS[bomb]
    file = tmp_path / "a.parquet"
    monkeypatch.setattr(parquet_bounds, "FREE", 40_000_000)
    pq.write_table(arrow.table({"a": column}), file, compression="zstd", store_schema=False)
    assert file.stat().st_size < 100_000
    with pytest.raises(ValueError, match=rf"a.parquet: .*{said}"):
        len(ParquetRows(file))


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(arrow.table({"a": shared(TEXT * 20, 1000)}), file, compression="zstd", store_schema=False)
    code = (
        "import sys, pathlib\n"
        "from tessera.records.readers.parquet import ParquetRows\n"
        "try: len(ParquetRows(pathlib.Path(sys.argv[1])))\n"
        "except ValueError: pass\n"
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    )
    run = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 700_000  # kB; some 200,000 of these are imports


@pytest.mark.parametrize("group", [40, 300])
def test_pictures_in_lists_are_read_whole_however_they_are_stored(tmp_path: Path, group: int) -> None:
    """Beyond a megabyte of different values parquet goes on row by row in the middle of a column."""
    file = tmp_path / "a.parquet"
    rows = [
        {"images": [{"bytes": os.urandom(9000), "path": None}], "system": "be brief", "id": n}
        for n in range(300)
    ]
    pq.write_table(arrow.Table.from_pylist(rows), file, row_group_size=group)
    found = ParquetRows(file)
    assert len(found) == 300
    for number in (0, 39, 40, 41, 150, 299):
        record: Any = found.record(number)
        assert record["id"] == number and record["system"] == "be brief"
        assert record["images"][0]["bytes"] == rows[number]["images"][0]["bytes"]  # type: ignore[index]


def test_large_rows_are_unpacked_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_bounds, "BATCH", 5_000_000)
    file = tmp_path / "a.parquet"
    pq.write_table(arrow.table({"a": [TEXT[n:] for n in range(20)]}), file)
    found = ParquetRows(file)
    assert [len(found.record(n)["a"]) for n in (0, 7, 19)] == [1_000_000, 999_993, 999_981]  # type: ignore[index]
    assert len(found._ends) == 20


def test_two_columns_of_one_name_and_deep_json_are_told(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(arrow.Table.from_arrays([arrow.array([1])] * 2, names=["a", "a"]), file)
    with pytest.raises(ValueError, match="two columns have one name"):
        len(ParquetRows(file))
    deep = "[" * 100 + "]" * 100
    pq.write_table(arrow.table({"conversations": [deep, "[" * 9000, '[{"n": ' + "1" * 5000 + "}]"]}), file)
    for number in range(3):
        with pytest.raises(ValueError, match=rf"a.parquet:{number + 1}: line: (JSON nested|broken JSON)"):
            ParquetRows(file).record(number)


def test_a_full_disk_is_not_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(arrow.table({"a": [1]}), file)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet.np, "array", full)
    with pytest.raises(ValueError, match="cache folder .* make room"):
        len(ParquetRows(file))
