"""Every record is checked before the first step: eleven faults, each named with line and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.curation.check import check_sources
from tessera.imaging.grid import Tiling
from tessera.packing.config import Limits, PackingConfig
from tessera.packing.loader import PackLoader
from tessera.records.faults import DataError, Reason, describe
from tessera.records.manifest import DatasetSpec
from tessera.records.open import open_sources
from tests.records.jsonl_files import turns, write_clip, write_picture, write_records

LIMITS = Limits(max_tokens=600, max_tiles=8)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    tokenizer = train_tokenizer(["what is in the picture? a cat and a dog"], 300)
    return Encoder(tokenizer, TEMPLATES["internvl2_5"], Tiling(tile_side=16, max_tiles=6), 4, system_text="")


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """Good files, and broken ones."""
    write_picture(tmp_path / "good.jpg")
    write_picture(tmp_path / "other.png", (64, 16))
    data = write_picture(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(data[: len(data) // 2])
    write_clip(tmp_path / "clip", 5)
    write_clip(tmp_path / "empty_clip", 0)
    return tmp_path


def good(number: int, **record: Any) -> dict[str, Any]:
    return {"id": number, "conversations": turns("what is it?", "a cat"), **record}


def faulty_records() -> list[dict[str, Any] | bytes]:
    """Nine faults stand on lines 2 to 10, two more on 13 and 14; line 11 only repeats an id."""
    return [
        good(1, image="good.jpg"),
        good(2, image="gone.jpg"),
        good(3, image="truncated.jpg"),
        good(4, image=["good.jpg", "other.png"], conversations=turns("<image>", "two")),
        good(5, conversations=[{"from": "robot", "value": "hi"}, {"from": "gpt", "value": "ho"}]),
        good(6, conversations=turns("what is it?", "")),
        good(7, image="good.jpg", conversations=turns("where?", "<box>[[0, 0, 1200, 10]]</box>")),
        good(8, conversations=turns("tell", "word " * 1000)),
        b'{"id": 9, "conversations": [{"from": "human", "value": "caf\xe9"}]}',
        good(10, video="empty_clip/"),
        good(1, image="other.png"),
        good(12, video="clip/"),
        b'{"id": 13, "conversations": ',
        good(14, conversations=turns("a", "b", "c")),
    ]


EXPECTED = {
    2: ("image", Reason.MISSING_FILE, "gone.jpg"),
    3: ("image", Reason.BROKEN_PICTURE, "truncated"),
    4: ("image", Reason.MARK_COUNT, "1 <image> in human turns, 2 files"),
    5: ("conversations[0].from", Reason.UNKNOWN_ROLE, "'robot'"),
    6: ("conversations[1].value", Reason.EMPTY_ANSWER, "''"),
    7: ("conversations[1].value", Reason.BAD_BOX, "leaves 0 to 1000"),
    8: ("record", Reason.TOO_LONG, "of 600 tokens"),
    9: ("line", Reason.BAD_UTF8, "0xe9"),
    10: ("video", Reason.BROKEN_VIDEO, "empty_clip"),
    13: ("line", Reason.BROKEN_JSON, ""),
    14: ("conversations[2].from", Reason.ROLE_ORDER, "no answer at the end"),
}


def test_all_faults_are_each_named_before_the_first_step(media: Path, encoder: Encoder) -> None:
    sources = open_sources([write_records(media / "photos.jsonl", faulty_records())])
    with pytest.raises(DataError) as caught:
        check_sources(sources, encoder, LIMITS)
    faults = {fault.line: fault for fault in caught.value.faults}
    assert len(faults) == len(caught.value.faults)
    assert set(faults) == set(EXPECTED)
    for line, (field, reason, detail) in EXPECTED.items():
        fault = faults[line]
        assert (fault.file, fault.field, fault.reason) == (media / "photos.jsonl", field, reason)
        assert detail in fault.detail
        text = str(fault)
        assert text in str(caught.value)
        assert f"photos.jsonl:{line}: {field}" in text
        assert reason.remedy in text


def test_skip_leaves_them_out_and_reports_them(media: Path, encoder: Encoder) -> None:
    sources = open_sources([write_records(media / "photos.jsonl", faulty_records())])
    skipping = LIMITS.model_copy(update={"on_fault": "skip"})
    checked, report = check_sources(sources, encoder, skipping)
    assert report.records == 14
    assert set(report.counts) == {reason for _, reason, _ in EXPECTED.values()}
    assert "11 faults in the data" in report.describe()
    packing = PackingConfig(max_tokens=600, max_tiles=8, epochs=1)
    keys = sorted(key for pack in PackLoader(checked, encoder, packing) for key in pack.keys)
    assert keys == ["photos:0", "photos:1", "photos:2"]
    assert [checked[0].source.place(index)[1] for index in range(3)] == [1, 11, 12]


def test_headers_only_misses_the_truncated_picture_and_the_loader_names_it(
    media: Path, encoder: Encoder
) -> None:
    sources = open_sources([write_records(media / "photos.jsonl", [good(1, image="truncated.jpg")])])
    check_sources(sources, encoder, LIMITS, headers_only=True)
    with pytest.raises(DataError, match=r"photos.jsonl:1: .*truncated.jpg"):
        next(PackLoader(sources, encoder, PackingConfig(max_tokens=600, max_tiles=8)))


def test_good_records_pass_with_progress_and_totals(media: Path, encoder: Encoder) -> None:
    records = [good(1, image="good.jpg"), b"", good(2), good(3, image=["good.jpg"]), good(4, video="clip")]
    steps: list[tuple[str, int, int]] = []
    sources = open_sources([write_records(media / "photos.jsonl", records)])
    checked, report = check_sources(
        sources, encoder, LIMITS, progress=lambda name, done, total: steps.append((name, done, total))
    )
    assert checked == sources
    assert steps == [("photos: lengths", 4, 4), ("photos: records", 4, 4)]
    packing = PackingConfig(max_tokens=600, max_tiles=8, epochs=1)
    packs = list(PackLoader(sources, encoder, packing))
    assert report.tokens == sum(len(pack.ids) for pack in packs)
    assert report.tiles == sum(len(pack.tiles) for pack in packs)
    assert "4 records without fault" in report.describe()


def test_a_file_of_faults_only_cannot_be_skipped(media: Path, encoder: Encoder) -> None:
    sources = open_sources([write_records(media / "photos.jsonl", [good(1, image="gone.jpg")])])
    with pytest.raises(DataError, match="gone.jpg"):
        check_sources(sources, encoder, LIMITS.model_copy(update={"on_fault": "skip"}))


def test_the_listing_is_bounded(media: Path, encoder: Encoder) -> None:
    records: list[dict[str, Any] | bytes] = [good(number, image="gone.jpg") for number in range(50)]
    with pytest.raises(DataError) as caught:
        check_sources(open_sources([write_records(media / "a.jsonl", records)]), encoder, LIMITS)
    lines = str(caught.value).splitlines()
    assert lines[0] == "50 faults in the data: 50 x missing file"
    assert len(lines) == 22
    assert lines[-1] == "  and 30 more"
    assert describe(caught.value.faults, listed=1).count("\n") == 2


def test_a_clip_that_starts_after_its_end_is_found(media: Path, encoder: Encoder) -> None:
    record = good(1, video="clip/", clip=[1000, 1001])
    with pytest.raises(DataError, match="video without frames"):
        check_sources(open_sources([write_records(media / "a.jsonl", [record])]), encoder, LIMITS)


def test_a_missing_or_empty_annotation_file_is_named(tmp_path: Path) -> None:
    spec = DatasetSpec(name="photos", annotation=tmp_path / "a.jsonl", root=tmp_path)
    with pytest.raises(ValueError, match=r"photos.annotation: no file .*a.jsonl"):
        open_sources([spec])
    (tmp_path / "a.jsonl").write_text("\n\n")
    with pytest.raises(ValueError, match=r"photos: .*a.jsonl has no records"):
        open_sources([spec])
