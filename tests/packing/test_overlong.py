"""Records longer than a pack: four policies, each counted, and no picture ever cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.imaging.grid import Tiling
from tessera.packing.config import PackingConfig
from tessera.packing.loader import PackLoader
from tessera.packing.samples.overlong import OverLong
from tessera.records.faults import DataError
from tessera.records.open import open_sources
from tests.records.jsonl_files import turns, write_clip, write_picture, write_records

LONG = [f"word {number} of a long story" for number in range(6)]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    tokenizer = train_tokenizer(["what is in the picture? a cat word of a long story"], 300)
    return Encoder(tokenizer, TEMPLATES["internvl2_5"], Tiling(tile_side=16, max_tiles=6), 4, system_text="")


def load(
    folder: Path, encoder: Encoder, policy: OverLong, *records: dict[str, Any], **packing: Any
) -> tuple[PackLoader, dict[str, list[tuple[int, str]]]]:
    """The loader after an epoch, and tiles and text of every sample by key."""
    write_picture(folder / "wide.jpg", (96, 16))
    if not (folder / "clip").exists():
        write_clip(folder / "clip", 12)
    sources = open_sources([write_records(folder / "a.jsonl", records)])
    config = PackingConfig(
        **({"max_tokens": 120, "max_tiles": 5, "epochs": 1, "over_long": policy} | packing)
    )
    loader, found = PackLoader(sources, encoder, config), dict[str, list[tuple[int, str]]]()
    for pack in loader:
        pieces = pack.ids.split(list(pack.lengths))
        for key, tiles, ids in zip(pack.keys, pack.tiles_per_sample, pieces, strict=True):
            text = encoder.tokenizer.decode(ids.tolist(), skip_special=False)
            assert text.count("<IMG_CONTEXT>") == 4 * tiles, "a picture was cut"
            found.setdefault(key, []).append((tiles, text))
    return loader, found


SHORT = {"conversations": turns("what?", "a cat")}
PICTURE = {"image": "wide.jpg", "conversations": turns("<image>\nwhat?", "a cat")}
TALK = {"conversations": turns(*LONG)}


def test_error_names_the_record(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(DataError, match=r"a.jsonl:2: record: too long .*7 of 5 tiles"):
        load(tmp_path, encoder, "error", SHORT, PICTURE)


def test_drop_counts(tmp_path: Path, encoder: Encoder) -> None:
    loader, found = load(tmp_path, encoder, "drop", SHORT, PICTURE)
    assert set(found) == {"a:0"}
    assert (loader.stats.dropped, loader.stats.skipped, loader.stats.samples) == (1, 0, 1)


def test_fewer_tiles_takes_the_mildest_limit(tmp_path: Path, encoder: Encoder) -> None:
    """96 x 16 fits 6 tiles and a thumbnail; with at most 4 it is 4 and a thumbnail."""
    loader, found = load(tmp_path, encoder, "fewer_tiles", SHORT, PICTURE)
    assert [tiles for tiles, _ in found["a:1"]] == [5]
    assert (loader.stats.shrunk, loader.stats.dropped) == (1, 0)


def test_fewer_tiles_takes_fewer_frames_of_a_clip(tmp_path: Path, encoder: Encoder) -> None:
    clip = {"video": "clip/", "conversations": turns("<video>\nwhat?", "a cat")}
    loader, found = load(tmp_path, encoder, "fewer_tiles", clip)
    assert 3 <= found["a:0"][0][0] <= 5
    assert loader.stats.shrunk == 1


def test_fewer_tiles_cannot_shorten_text(tmp_path: Path, encoder: Encoder) -> None:
    loader, found = load(tmp_path, encoder, "fewer_tiles", SHORT, TALK, max_tokens=40)
    assert set(found) == {"a:0"}
    assert (loader.stats.shrunk, loader.stats.dropped) == (0, 1)


def test_split_cuts_between_turns_and_loses_none(tmp_path: Path, encoder: Encoder) -> None:
    loader, found = load(tmp_path, encoder, "split", SHORT, TALK, max_tokens=70)
    parts = [text for _, text in sorted(found["a:1"], key=lambda part: part[1])]
    assert len(parts) == 3
    for number, part in enumerate(parts):
        assert LONG[2 * number] in part and LONG[2 * number + 1] in part
    assert (loader.stats.split, loader.stats.dropped, loader.stats.samples) == (1, 0, 4)


def test_later_parts_keep_the_pictures_they_may_speak_of(tmp_path: Path, encoder: Encoder) -> None:
    record = {"image": "wide.jpg", "conversations": turns("<image>\n" + LONG[0], *LONG[1:])}
    loader, found = load(tmp_path, encoder, "split", record, max_tokens=120, max_tiles=7)
    assert len(found["a:0"]) > 1
    assert {tiles for tiles, _ in found["a:0"]} == {7}
    assert loader.stats.dropped == 0


def test_turns_that_fit_by_no_means_are_counted(tmp_path: Path, encoder: Encoder) -> None:
    record = {"conversations": turns("what?", "a cat", LONG[0] * 20, "a dog", "and?", "a cat")}
    loader, found = load(tmp_path, encoder, "split", record, max_tokens=60)
    assert len(found["a:0"]) == 2
    assert (loader.stats.split, loader.stats.dropped) == (1, 1)


def test_parts_survive_a_restart(tmp_path: Path, encoder: Encoder) -> None:
    def make() -> PackLoader:
        sources = open_sources([write_records(tmp_path / "a.jsonl", [SHORT, TALK, PICTURE, TALK])])
        packing = PackingConfig(max_tokens=70, max_tiles=9, epochs=3, over_long="split", window=3)
        return PackLoader(sources, encoder, packing)

    write_picture(tmp_path / "wide.jpg", (96, 16))
    expected = [pack.ids.tolist() for pack in make()]
    for stop in range(len(expected)):
        first, second = make(), make()
        before = [next(first).ids.tolist() for _ in range(stop)]
        second.load_state_dict(first.state_dict())
        assert before + [pack.ids.tolist() for pack in second] == expected


@pytest.mark.parametrize("indexed", [True, False])
def test_policies_hold_with_and_without_an_index(
    tmp_path: Path, encoder: Encoder, indexed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not indexed:
        monkeypatch.setattr("tessera.packing.loader.open_index", lambda *_: None)
    for policy, counts in (("drop", (0, 0, 2)), ("fewer_tiles", (1, 0, 1)), ("split", (0, 1, 1))):
        loader, _ = load(tmp_path, encoder, policy, SHORT, PICTURE, TALK, max_tokens=70)  # type: ignore
        assert (loader.stats.shrunk, loader.stats.split, loader.stats.dropped) == counts, policy
