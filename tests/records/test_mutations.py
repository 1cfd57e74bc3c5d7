"""Mutated files of every kind that records and manifests come in: conversations, faults or one short error.

Each mutant follows from its number. More of them: TESSERA_MUTANTS=5000 pytest tests/records/test_mutations.py
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tessera.chat.message import Conversation
from tessera.records.faults import DataError
from tessera.records.manifest import DatasetSpec, read_meta
from tessera.records.readers.records import RecordReader

EACH = int(os.environ.get("TESSERA_MUTANTS", "300")) // 5
TURNS = [{"from": "human", "value": "<image>\nwhat? größe"}, {"from": "gpt", "value": "that [[1, 2, 3, 4]]"}]
RECORDS = [{"id": n, "image": "a.png", "width": 4, "height": 3, "conversations": TURNS} for n in range(4)]
PIECES = [
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b",",
    b"1" * 5000,
    b"[" * 2000,
    b"\\ud800",
]
PIECES += [
    b"\x1b[2J",
    b"NaN",
    b"null",
    b"&a",
    b"*a",
    b"<<: *a",
    b"!!python/name:os.system",
    b"1e999",
    b"-1",
    b"\x80" + b"\xff" * 11,
]


def lines() -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in RECORDS)


def shard() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number in range(3):
            for ending, data in (
                ("json", json.dumps({"conversations": TURNS}).encode()),
                ("png", b"no picture"),
            ):
                info = tarfile.TarInfo(f"{'ü' * 60}{number}.{ending}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def rows() -> bytes:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    stream = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(RECORDS * 10), stream, row_group_size=15)
    return stream.getvalue()


def manifest() -> bytes:
    return (
        b"x-all: &a {root: ., repeat_time: 1}\none: {<<: *a, annotation: a.jsonl}\ntwo: {annotation: b.tar}\n"
    )


SOUND: dict[str, Callable[[], bytes]] = {
    "a.jsonl": lines,
    "a.json": lambda: json.dumps(RECORDS, indent=1).encode(),
    "a.tar": shard,
    "a.parquet": rows,
    "a.yaml": manifest,
}


def mutated(data: bytes, rng: Random) -> bytes:
    """Some bytes changed, cut out, doubled or put in; or the whole in another encoding, or cut off."""
    if rng.random() < 0.1:
        return data.decode("utf-8", "replace").encode(
            rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
        )
    found = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at, size = rng.randrange(len(found) + 1), rng.choice([1, 1, 8, 100])
        match rng.randrange(5):
            case 0:
                found[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del found[at : at + size]
            case 2:
                found[at:at] = found[at : at + size] * rng.choice([1, 3])
            case 3:
                found[at:at] = rng.choice(PIECES)
            case 4:
                found[at : at + size] = rng.choice(PIECES)[:size]
    return bytes(found[: rng.randrange(len(found) + 1)] if rng.random() < 0.1 else found)


def read(file: Path) -> None:
    """Everything that a check does with a file before it looks at pictures."""
    if file.suffix == ".yaml":
        read_meta(file)
        return
    source = RecordReader(DatasetSpec(name="x", annotation=file, root=file.parent))
    for number in range(source.size):
        try:
            assert isinstance(source.conversation(number), Conversation)
        except DataError as error:
            assert all(len(str(fault)) < 2000 and str(fault).isprintable() for fault in error.faults)


@pytest.mark.parametrize("name", SOUND)
def test_a_mutated_file_is_read_or_told(tmp_path: Path, name: str) -> None:
    sound, file = SOUND[name](), tmp_path / name
    for number in range(EACH):
        file.write_bytes(mutated(sound, Random(number)))
        begin = time.process_time()
        try:
            read(file)
        except ValueError as error:
            assert name in str(error) and len(str(error)) < 2000, number
        assert time.process_time() - begin < 10, number


@pytest.mark.parametrize(
    "name", ["a\x1b[2J", "a\nb", "a\u202eb", os.fsdecode(b"a\xff"), "x" * 240, " ", "a'\"b"]
)
def test_files_and_folders_of_any_name_are_read_and_told_in_a_line(tmp_path: Path, name: str) -> None:
    """Names may hold what a terminal obeys, line ends, and bytes that are no UTF-8."""
    folder = tmp_path / name
    folder.mkdir()
    file = folder / f"{name}.jsonl"
    file.write_bytes(lines() + b"{\n")
    source = RecordReader(DatasetSpec(name="x", annotation=file, root=folder))
    assert source.size == 5 and isinstance(source.conversation(0), Conversation) and source.fingerprint()
    with pytest.raises(DataError) as caught:
        source.conversation(4)
    assert str(caught.value.faults[0]).isprintable()
    with pytest.raises(ValueError, match="no file") as missing:
        RecordReader(DatasetSpec(name="x", annotation=folder / "gone.jsonl", root=folder))
    assert str(missing.value).isprintable()
