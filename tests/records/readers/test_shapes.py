"""Sound data in another shape than the name says: one error that names it, no flood of broken lines."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tessera.records.faults import DataError
from tessera.records.manifest import DatasetSpec
from tessera.records.readers.records import RecordReader

TURNS = [{"from": "human", "value": "größe?"}, {"from": "gpt", "value": "ça va"}]
RECORDS = [{"id": n, "conversations": TURNS} for n in range(3)]
COCO: dict[str, list[Any]] = {"images": [{}], "annotations": [{}], "categories": []}


def lines(**options: Any) -> str:
    return "".join(json.dumps(record, ensure_ascii=False, **options) + "\n" for record in RECORDS)


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.jsonl", lines())
    return stream.getvalue()


REFUSED: dict[str, tuple[bytes, str]] = {
    "indented": (lines(indent=1).encode(), "holds indented objects; write each on one line"),
    "one indented": (json.dumps(RECORDS[0], indent=1).encode(), "holds indented objects"),
    "under a key": (json.dumps({"data": RECORDS}).encode(), "a list under 'data'; give that list: jq"),
    "under a key, indented": (json.dumps({"n": 1, "data": RECORDS}, indent=1).encode(), "list under 'data'"),
    "under a key, large": (json.dumps({"a b": RECORDS * 9000}, indent=1).encode(), "list under 'a b'"),
    "by id": (json.dumps({str(r["id"]): r for r in RECORDS}).encode(), "one object with the records by name"),
    "by id, indented": (json.dumps({"a": RECORDS[0]}, indent=1).encode(), "records by name; give an array"),
    "coco": (json.dumps(COCO).encode(), "COCO annotations; make records of them with tessera data build"),
    "a manifest": (json.dumps({"a": {"root": "", "annotation": "b.jsonl"}}).encode(), "holds a manifest"),
    "two arrays": (b"[{}]\n[{}]", "more follows its array: '[{}]'"),
    "all broken": (b"{'id': 0}\n{'id': 1}\n", "no whole object in its first lines"),
    "gzip": (gzip.compress(lines().encode()), "gzip data; unpack it"),
    "zip": (zipped(), "zip archive"),
    "parquet": (b"PAR1" + bytes(range(256)), "parquet; name it .parquet"),
    "UTF-16 with mark": (lines().encode("utf-16"), "UTF-16 text; save it as UTF-8: iconv -f UTF-16"),
    "UTF-16LE": (lines().encode("utf-16-le"), "UTF-16LE text; save it as UTF-8"),
    "UTF-16BE": (lines().encode("utf-16-be"), "UTF-16BE text; save it as UTF-8"),
    "UTF-32": (lines().encode("utf-32-le"), "UTF-32 text"),
    "Latin-1": (lines().encode("latin-1"), "another encoding than UTF-8; save it as UTF-8"),
    "NUL bytes": (bytes(5000), "NUL bytes; fetch it again"),
    "CR": (lines().replace("\n", "\r").encode(), "lines that end in CR alone"),
    "CSV": (b"image,question,answer\na.png,what?,that\n", "a CSV table"),
    "TSV": (b"index\timage\tanswer\n0\ta.png\tthat\n", "a TSV table"),
    "HTML": (b"<!doctype html>\n<p>404", "no JSON objects"),
    "names": (b'"a.png"\n"b.png"\n', "no JSON objects"),
}


def reader(tmp_path: Path, data: bytes, name: str) -> RecordReader:
    (tmp_path / name).write_bytes(data)
    return RecordReader(DatasetSpec(name="x", annotation=tmp_path / name, root=tmp_path))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize("case", REFUSED)
def test_another_shape_is_one_error_that_names_it(tmp_path: Path, case: str, name: str) -> None:
    """An array under .jsonl gave "broken JSON" for each of its lines: 28 faults for two records."""
    data, said = REFUSED[case]
    with pytest.raises(ValueError, match="x.annotation: ") as caught:
        reader(tmp_path, data, name)
    message = str(caught.value)
    assert said in message and name in message and message.isprintable() and len(message) < 400


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize(
    "data",
    [
        json.dumps(RECORDS).encode(),
        json.dumps(RECORDS, indent=2).encode() + b"\n \n",
        ("\n\n \r\n" + json.dumps(RECORDS, indent=0)).encode("utf-8-sig"),
        lines().encode("utf-8-sig"),
        lines().replace("\n", "\r\n\r\n").encode(),
        (" " + lines().replace("\n", "\n  ")).encode(),
        ("[\n" + ",\n".join(lines().splitlines()) + "\n]").encode(),
    ],
)
def test_an_array_and_lines_are_read_under_either_name(tmp_path: Path, data: bytes, name: str) -> None:
    found = reader(tmp_path, data, name)
    assert [found.record(n) for n in range(found.size)] == RECORDS


@pytest.mark.parametrize("data", [b"", b" \n\t\n ", b"[]", b"[ \n]"])
def test_nothing_is_no_records(tmp_path: Path, data: bytes) -> None:
    assert reader(tmp_path, data, "a.jsonl").size == 0


@pytest.mark.parametrize("broken", [b"\xff", b"{", b'{"id": 5, "conv', b"null"])
def test_broken_lines_beside_sound_ones_stay_faults_of_their_own(tmp_path: Path, broken: bytes) -> None:
    found = reader(tmp_path, broken + b"\n" + lines().encode() + broken, "a.jsonl")
    assert found.size == 5 and found.record(1) == RECORDS[0]


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    """Its offsets led into the middle of other records: "broken JSON", or another record without a word."""
    found = reader(tmp_path, lines().encode(), "a.jsonl")
    assert found.record(0) == RECORDS[0]
    (tmp_path / "a.jsonl").write_text("\n" + lines())
    with pytest.raises(DataError, match="file changed while it was read .*; start again when nothing writes"):
        found.record(1)
