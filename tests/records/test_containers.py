"""Containers of records: lines, arrays, rows and shards, local and remote, the same records by number."""

from __future__ import annotations

import io
import json
import pickle
import sys
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Image, Video, say
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.imaging.grid import Tiling
from tessera.packing.config import PackingConfig
from tessera.packing.loader import PackLoader
from tessera.records.faults import DataError, Reason
from tessera.records.files.remote import stamp
from tessera.records.manifest import DatasetSpec, read_meta
from tessera.records.open import open_sources
from tessera.records.readers import json_bounds
from tessera.records.readers.json_bounds import element_bounds
from tessera.records.readers.records import RecordReader
from tests.records.jsonl_files import turns, write_picture

RECORDS = [{"id": n, "conversations": turns("ä" * n + "?", f'{n} "猫" [1], {{2}} \\')} for n in range(9)]


RECORDS_1 = Conversation((say("user", "ä?"), say("assistant", '1 "猫" [1], {2} \\')))


def words(conversation: Conversation) -> list[str]:
    return [message.text for message in conversation.messages]


def reader(annotation: Path | str, root: Path | str = Path("."), **settings: Any) -> RecordReader:
    return RecordReader(DatasetSpec(name="photos", annotation=annotation, root=root, **settings))


def reasons(source: RecordReader, index: int) -> list[Reason]:
    with pytest.raises(DataError) as caught:
        source.conversation(index)
    return [fault.reason for fault in caught.value.faults]


def write_tar(file: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


def png(size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", size, (200, 10, 10)).save(out, "PNG")
    return out.getvalue()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(alphabet='ab"\\[]{},: \n猫', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('k"\\]', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1, 3]), st.integers(1, 40), st.booleans())
@settings(deadline=None, max_examples=150)
def test_elements_of_an_array_are_found_whatever_the_blocks(
    values: list[Any], indent: int | None, block: int, ascii_only: bool
) -> None:
    text = " \n" + json.dumps(values, indent=indent, ensure_ascii=ascii_only) + "\n"
    data = text.encode()
    before, json_bounds.BLOCK = json_bounds.BLOCK, block
    try:
        bounds = np.concatenate(list(element_bounds(io.BytesIO(data))))
    finally:
        json_bounds.BLOCK = before
    assert [json.loads(data[start:end]) for start, end, _ in bounds.tolist()] == values


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_gives_its_records_by_number(tmp_path: Path, indent: int | None) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(RECORDS, indent=indent, ensure_ascii=False), encoding="utf-8-sig")
    source = reader(file)
    assert source.size == 9
    assert [source.record(n) for n in (8, 0, 3)] == [RECORDS[n] for n in (8, 0, 3)]
    assert source.place(3) == (file, 4)
    again = pickle.loads(pickle.dumps(source.without({(file, 1)})))
    assert again.size == 8 and again.record(0) == RECORDS[1]


def test_an_array_that_was_cut_off_has_one_broken_record(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(RECORDS[:3])[:-12])
    source = reader(file)
    assert source.size == 3 and source.record(1) == RECORDS[1]
    assert reasons(source, 2) == [Reason.BROKEN_JSON]


def test_a_json_file_may_hold_lines_but_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("\n".join(map(json.dumps, RECORDS)))
    assert reader(file).record(4) == RECORDS[4]
    file.write_text('"text"')
    with pytest.raises(
        ValueError, match=r"photos.annotation: .*a.json: holds no JSON objects .*; give an array"
    ):
        reader(file)


def test_shards_follow_each_other_and_places_can_be_left_out(tmp_path: Path) -> None:
    for number in range(3):
        lines = "\n".join(json.dumps(record) for record in RECORDS[3 * number : 3 * number + 3])
        (tmp_path / f"part-{number:02}.jsonl").write_text(lines)
    for pattern in ("part-{00..02}.jsonl", "part-*.jsonl", "part-{00,01,02}.jsonl"):
        source = reader(tmp_path / pattern)
        assert [source.record(n) for n in range(source.size)] == RECORDS
    assert source.place(4) == (tmp_path / "part-01.jsonl", 2)
    rest = source.without({(tmp_path / "part-01.jsonl", 2), (tmp_path / "part-00.jsonl", 1)})
    rest = rest.without([(tmp_path / "part-02.jsonl", 3), (tmp_path / "part-02.jsonl", 77)])
    kept = [RECORDS[n] for n in (1, 2, 3, 5, 6, 7)]
    assert [rest.record(n) for n in range(rest.size)] == kept
    assert rest.place(3) == (tmp_path / "part-01.jsonl", 3)
    assert rest.fingerprint() != source.fingerprint()
    with pytest.raises(IndexError):
        rest.record(6)
    with pytest.raises(ValueError, match=r"photos.annotation: no file .*part-03.jsonl; correct the path"):
        reader(tmp_path / "part-{02..03}.jsonl")
    with pytest.raises(ValueError, match=r"no file has such a name"):
        reader(tmp_path / "other-*.jsonl")


def test_each_file_has_its_own_form(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(RECORDS[0]))
    message = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, [message, RECORDS[1]])))
    source = reader(tmp_path / "*.jsonl")
    assert [source.form(0), source.form(1)] == ["internvl", "openai"]
    assert words(source.conversation(1)) == ["a", "b"]
    assert reasons(source, 2) == [Reason.OTHER_FORM]
    forced = reader(tmp_path / "b.jsonl", format="internvl")
    assert forced.form() == "internvl" and words(forced.conversation(1)) == words(RECORDS_1)


def test_a_shard_is_read_in_place(tmp_path: Path) -> None:
    talk = {"conversations": turns("<image> and <image>", "two")}
    two = {**talk, "image": ["b/000001.0.png", "000001.1.png"]}
    file = write_tar(
        tmp_path / "a.tar",
        {
            "b/000001.0.png": png((10, 10)),
            "b/000001.1.png": png((20, 20)),
            "b/000001.json": json.dumps(two).encode(),
            "b/000002.txt": b"a red card\n",
            "b/000002.jpg": png((30, 30)),
            "b/000003.jpg": png(),
            "b/.hidden": b"",
            "b/000004.0.png": png((10, 10)),
            "b/000004.1.png": png((20, 20)),
            "b/000004.json": json.dumps(talk).encode(),
            "b/000005.json": b"{broken",
        },
    )
    source = reader(file)
    assert source.size == 5 and source.form() == "internvl"
    for number in (0, 3):
        assert [p.source for p in source.conversation(number).media] == [png((10, 10)), png((20, 20))]
    assert reasons(source, 2) == [Reason.BAD_FIELD]
    assert reasons(source, 4) == [Reason.BROKEN_JSON]
    captions = reader(file, format="caption")
    assert captions.conversation(1).media == (Image(png((30, 30))),)
    assert words(captions.conversation(1)) == ["", "a red card"]
    assert pickle.loads(pickle.dumps(source)).place(3) == (file, 4)


def test_a_clip_of_a_shard_becomes_a_file_of_the_cache(tmp_path: Path) -> None:
    record = json.dumps({"conversations": turns("<video>\nwhat?", "rain")}).encode()
    file = write_tar(tmp_path / "a.tar", {"1.json": record, "1.mp4": b"clip"})
    (clip,) = reader(file).conversation(0).media
    assert isinstance(clip, Video) and isinstance(clip.source, Path)
    assert clip.source.read_bytes() == b"clip" and clip.source.suffix == ".mp4"


def test_a_shard_that_changed_and_one_that_is_none(tmp_path: Path) -> None:
    file = write_tar(tmp_path / "a.tar", {"1.json": json.dumps(RECORDS[0]).encode(), "1.png": png()})
    (tmp_path / "b.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(ValueError, match=r"photos.annotation: .*b.tar: not a whole, plain tar"):
        reader(tmp_path / "b.tar")
    source = reader(file)
    before = stamp(file)
    whole = file.read_bytes()
    assert source.size == 1
    file.write_bytes(whole[:520])
    assert reasons(source, 0) == [Reason.CHANGED]
    assert stamp(file) != before


@pytest.fixture
def bucket() -> Iterator[str]:
    """An empty folder of fsspec's memory."""
    name = f"memory://{uuid.uuid4().hex}"
    yield name
    fsspec.filesystem("memory").rm(name.removeprefix("memory:/"), recursive=True)


def put(url: str, data: bytes) -> str:
    with fsspec.open(url, "wb") as stream:
        stream.write(data)  # type: ignore[attr-defined]
    return url


def test_everything_may_be_remote(tmp_path: Path, bucket: str) -> None:
    put(f"{bucket}/media/a.png", png())
    records = [
        {"image": "a.png", "conversations": turns("<image>", "red")},
        {"image": "../b.png", "conversations": turns("<image>", "red")},
        {"image": f"{bucket}/media/gone.png", "conversations": turns("<image>", "red")},
    ]
    lines = "\n".join(map(json.dumps, records)).encode()
    for url, data in (("a.jsonl", lines), ("a.json", json.dumps(records).encode())):
        source = reader(put(f"{bucket}/{url}", data), f"{bucket}/media")
        (picture,) = source.conversation(0).media
        assert isinstance(picture.source, Path) and picture.source.read_bytes() == png()
        assert source.place(0) == (f"{bucket}/{url}", 1)
        assert reasons(source, 1) == [Reason.OUTSIDE_ROOT]
        assert reasons(source, 2) == [Reason.MISSING_FILE]
    shard = write_tar(tmp_path / "a.tar", {"1.json": json.dumps(RECORDS[3]).encode(), "1.png": png()})
    put(f"{bucket}/s-0.tar", shard.read_bytes())
    put(f"{bucket}/s-1.tar", shard.read_bytes())
    source = reader(f"{bucket}/s-*.tar", bucket)
    assert source.size == 2 and source.record(1) == {**RECORDS[3], "image": ["png"]}
    with pytest.raises(ValueError, match=r"photos.annotation: no file memory://.*gone.jsonl"):
        reader(f"{bucket}/gone.jsonl")
    with pytest.raises(ValueError, match="'nosuch://a/b.jsonl' is in no storage that is read"):
        reader("nosuch://a/b.jsonl")


def test_a_remote_file_that_changes_is_another_one(bucket: str) -> None:
    url = put(f"{bucket}/a.jsonl", json.dumps(RECORDS[0]).encode())
    first = reader(url)
    put(url, json.dumps(RECORDS[1]).encode())
    second = reader(url)
    assert (first.record(0), second.record(0)) == (RECORDS[0], RECORDS[1])
    assert first.fingerprint() != second.fingerprint()


def test_parquet_rows_with_nested_messages_and_pictures_inside(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        {
            "images": [{"bytes": png(), "path": None}],
            "messages": [*(said(f"<image>{n}", "red"))],
            "note": None,
        }
        for n in range(150)
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=40)
    source = reader(tmp_path / "a.parquet")
    assert source.size == 150 and source.form() == "swift"
    for number in (149, 0, 63, 64):
        found = source.conversation(number)
        assert found.media == (Image(png()),) and found.messages[0].text == f"\n{number}"
    assert pickle.loads(pickle.dumps(source)).place(7) == (tmp_path / "a.parquet", 8)
    entry = open_sources([source.spec])[0]
    assert entry.weight == 150


def said(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@pytest.mark.parametrize(
    "column",
    [
        turns("what?", "rain"),
        json.dumps(turns("what?", "rain")),
        {"from": ["human", "gpt"], "value": ["what?", "rain"]},
    ],
)
def test_parquet_columns_of_several_makes(tmp_path: Path, column: Any) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist([{"conversations": column}]), tmp_path / "a.parquet")
    assert words(reader(tmp_path / "a.parquet").conversation(0)) == ["what?", "rain"]


def test_a_broken_parquet_file_and_a_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"parquet needs pyarrow; install tessera-vl\[parquet\]"):
        reader(tmp_path / "a.parquet")
    monkeypatch.undo()
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=r"a.parquet: not a readable parquet file"):
        reader(tmp_path / "a.parquet")


def test_pictures_stay_files_where_they_are_local(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / "a.jsonl").write_text(json.dumps({"image": "a.png", "conversations": turns("?", "!")}))
    assert reader(tmp_path / "a.jsonl", tmp_path).conversation(0).media == (Image(tmp_path / "a.png"),)


def test_the_whole_way_from_every_container_to_packs(tmp_path: Path) -> None:
    talk = [{"image": "a.png", "conversations": turns(f"<image>\n{n}?", "red")} for n in range(4)]
    write_picture(tmp_path / "a.png")
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, talk)))
    (tmp_path / "array.json").write_text(json.dumps(talk))
    (tmp_path / "pages.jsonl").write_text(json.dumps({"images": ["a.png", None], "texts": [None, "a page"]}))
    members = {f"{n}.json": json.dumps({"conversations": turns("<image>", "red")}).encode() for n in range(3)}
    write_tar(tmp_path / "shard.tar", dict(sorted({**members, "0.png": png(), "1.png": png()}.items())))
    manifest = {name: {"annotation": name} for name in ("lines.jsonl", "array.json", "shard.tar")}
    manifest["pages.jsonl"] = {"annotation": "pages.jsonl", "pretraining": True}  # type: ignore[dict-item]
    (tmp_path / "meta.json").write_text(json.dumps(manifest))
    sources = open_sources(read_meta(tmp_path / "meta.json"))
    tokenizer = train_tokenizer(["red"], 300)
    encoder = Encoder(
        tokenizer, TEMPLATES["internvl2_5"], Tiling(tile_side=64, max_tiles=4), 16, system_text=""
    )
    packs = {}
    for workers in (0, 1):
        config = PackingConfig(max_tokens=512, max_tiles=8, workers=workers, epochs=1, on_fault="skip")
        with PackLoader(sources, encoder, config) as loader:
            packs[workers] = [(pack.keys, pack.ids.tolist(), pack.tiles.sum()) for pack in loader]
    assert packs[0] == packs[1]
    keys = sorted(key for pack in packs[0] for key in pack[0])
    lengths = {"lines.jsonl": 4, "array.json": 4, "shard.tar": 3, "pages.jsonl": 1}
    gone = "shard.tar:2"  # its picture is missing
    assert keys == sorted({f"{name}:{n}" for name, size in lengths.items() for n in range(size)} - {gone})
