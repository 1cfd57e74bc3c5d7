"""Lengths before pixels: what the index says is what encoding gives, and it is measured once."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.imaging.grid import Tiling
from tessera.packing import index
from tessera.packing.config import PackingConfig
from tessera.packing.index import FAULTY, open_index
from tessera.packing.loader import PackLoader
from tessera.packing.mix import Draw, MixState
from tessera.packing.samples.encode import DrawEncoder
from tessera.records.manifest import DatasetSpec
from tessera.records.open import open_sources
from tessera.records.source import WeightedSource
from tests.records.doubles import ListSource, SizedEncoder
from tests.records.jsonl_files import turns, write_clip, write_picture, write_records


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    tokenizer = train_tokenizer(["what is in the picture? a cat and a dog Frame-1: Image-2:"], 300)
    return Encoder(tokenizer, TEMPLATES["internvl2_5"], Tiling(tile_side=16, max_tiles=6), 4, system_text="")


@pytest.fixture
def media(tmp_path: Path) -> Path:
    write_picture(tmp_path / "wide.jpg", (60, 20))
    write_picture(tmp_path / "tall.png", (20, 60))
    write_clip(tmp_path / "clip", 5)
    write_clip(tmp_path / "long", 40)
    return tmp_path


@pytest.mark.parametrize("augment", [False, True])
def test_pictures_are_measured_as_they_are_read(media: Path, encoder: Encoder, augment: bool) -> None:
    """A turned picture has other tiles: measuring, augmenting and cutting must agree on the turn."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.linear_gradient("L").resize((60, 20)).convert("RGB").save(media / "turned.jpg", exif=exif)
    record = {"image": "turned.jpg", "conversations": turns("<image>", "a cat")}
    file = write_records(media / "turned.jsonl", [record]).annotation
    tiles = {}
    for pictures in (None, {"orientation": "exif"}):
        spec = DatasetSpec(name="t", annotation=file, root=media, pictures=pictures, data_augment=augment)
        (entry,) = open_sources([spec])
        sample = DrawEncoder([entry], encoder, augment=True).sample(Draw(0, 0, 0, MixState(0, ())))
        found = open_index(entry, encoder)
        assert found is not None and not found.flags[0]
        assert (found.tokens[0], found.tiles[0]) == (sample.lengths.tokens, sample.lengths.tiles)
        tiles[pictures is None] = sample.tiles[-1].astype(int)
    assert (
        np.abs(np.rot90(tiles[True], -1) - tiles[False]).max() < 60 < np.abs(tiles[True] - tiles[False]).max()
    )


def records() -> list[dict[str, Any] | bytes]:
    """A sample of every kind."""
    return [
        {"conversations": turns("hello", "a cat")},
        {"image": "wide.jpg", "conversations": turns("<image>\nwhat?", "a dog", "and?", "a cat")},
        {"image": ["wide.jpg", "tall.png"], "conversations": turns("<image> and <image>", "two")},
        {"video": "clip/", "conversations": turns("<video>\nwhat?", "a cat")},
        {"video": "long/", "clip": [3, 30], "conversations": turns("see <video> there", "a dog")},
        {"image": "tall.png", "video": "long/", "conversations": turns("<image>\n<video>\nsame?", "no")},
    ]


def sources(media: Path, name: str = "kinds.jsonl", **settings: Any) -> tuple[WeightedSource, ...]:
    given = {"frame_sampling": "random", "min_frames": 3, "max_frames": 12} | settings
    return open_sources([write_records(media / name, records(), **given)])


def test_the_index_knows_every_length_that_encoding_gives(media: Path, encoder: Encoder) -> None:
    """The loader refuses a sample that differs from its plan, so an epoch of every kind is the proof."""
    packing = PackingConfig(max_tokens=600, max_tiles=40, epochs=12)
    loader = PackLoader(sources(media), encoder, packing)
    keys: list[str] = []
    frames = set()
    for pack in loader:
        keys += pack.keys
        assert sum(pack.lengths) == len(pack.ids) <= 600
        assert sum(pack.tiles_per_sample) == len(pack.tiles) <= 40
        frames |= {n for k, n in zip(pack.keys, pack.tiles_per_sample, strict=True) if k == "kinds:3"}
    assert sorted(keys) == sorted(f"kinds:{number}" for number in range(6) for _ in range(12))
    assert len(frames) > 4, "every visit draws its own number of frames"
    assert frames <= set(range(3, 13))
    assert loader.stats.tokens == sum(loader.stats.tokens for _ in [0])


def test_frames_are_those_of_seed_source_and_visit(media: Path, encoder: Encoder) -> None:
    packing = PackingConfig(max_tokens=600, max_tiles=40, epochs=3)
    runs = []
    for seed, workers in ((1, 0), (1, 2), (2, 0)):
        changed = packing.model_copy(update={"seed": seed, "workers": workers})
        with PackLoader(sources(media), encoder, changed) as loader:
            runs.append([pack.tiles.numpy().tobytes() for pack in loader])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_uniform_sampling_takes_the_frames_of_inference(media: Path, encoder: Encoder) -> None:
    (entry,) = sources(media, frame_sampling="uniform")
    found = open_index(entry, encoder)
    assert found is not None
    assert found.clips.tolist() == [0] * 6
    assert found.tiles[3] == encoder.frames


def test_documents_are_trained_on_all_text_and_no_picture(media: Path, encoder: Encoder) -> None:
    (entry,) = sources(media, pretraining=True)
    found = open_index(entry, encoder)
    loader = PackLoader(
        [entry], encoder, PackingConfig(max_tokens=600, max_tiles=40, epochs=1, averaging="token")
    )
    silent = [encoder.tokenizer.token_id(text) for text in ("<img>", "<IMG_CONTEXT>", "</img>")]
    trained = {}
    for pack in loader:
        starts = np.cumsum([0, *pack.lengths])[:-1]
        expected = ~np.isin(pack.ids.numpy(), silent)
        expected[starts] = False
        assert (pack.weights.numpy() > 0).tolist() == expected.tolist()
        trained |= dict(zip(pack.keys, pack.trained, strict=True))
        text = encoder.tokenizer.decode(pack.ids.tolist(), skip_special=False)
        assert "user" not in text and "system" not in text
    assert found is not None
    still = [number for number in range(6) if not found.clips[number]]
    assert [trained[f"kinds:{number}"] for number in still] == found.trained[still].tolist()


def test_measured_once_and_again_when_file_or_encoder_change(
    media: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = sources(media)
    first = open_index(entry, encoder)
    assert first is not None and len(first) == 6
    assert isinstance(first.tokens, np.memmap)
    built = index.build_index
    monkeypatch.setattr(index, "build_index", None)
    again = open_index(entry, encoder)
    assert again is not None and again.folder == first.folder
    copy = pickle.loads(pickle.dumps(again))
    assert isinstance(copy.tiles, np.memmap) and copy.tiles.tolist() == first.tiles.tolist()
    monkeypatch.setattr(index, "build_index", built)
    os.utime(media / "kinds.jsonl", ns=(5, 5))
    (touched,) = open_sources([entry.source.spec])  # type: ignore[attr-defined]
    other = Encoder(encoder.tokenizer, encoder.template, encoder.tiling, 5, system_text="")
    words = Encoder(
        train_tokenizer(["other words"], 290), encoder.template, encoder.tiling, 4, system_text=""
    )
    opened = [open_index(touched, encoder), open_index(entry, other), open_index(entry, words)]
    assert len({found.folder for found in [first, *opened] if found}) == 4


def test_processes_measure_what_one_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = tuple((2 + number % 97, number % 5) for number in range(3000))
    told: list[tuple[str, int, int]] = []
    monkeypatch.setattr(index, "CHUNK", 300)
    found = [
        open_index(
            WeightedSource(ListSource(lengths, f"list{workers}", stamp=f"{tmp_path}{workers}")),
            SizedEncoder(),
            workers,
            lambda *news: told.append(news),
        )
        for workers in (0, 2)
    ]
    assert found[0] is not None and found[1] is not None
    assert found[0].tokens.tolist() == found[1].tokens.tolist() == [t for t, _ in lengths]
    assert found[1].tiles.tolist() == [v for _, v in lengths]
    assert told[-1] == ("list2", 3000, 3000)


def test_faulty_records_are_flagged_and_named_when_drawn() -> None:
    source = ListSource(((9, 1),) * 5, "photos", broken=frozenset({3}), stamp="broken")
    found = open_index(WeightedSource(source), SizedEncoder())
    assert found is not None
    assert found.flags.tolist() == [0, 0, 0, FAULTY, 0]
    packing = PackingConfig(max_tokens=20, max_tiles=3, epochs=1, on_fault="skip")
    loader = PackLoader([WeightedSource(source)], SizedEncoder(), packing)
    assert sorted(key for pack in loader for key in pack.keys) == [f"photos:{n}" for n in (0, 1, 2, 4)]
    assert loader.stats.skipped == 1
    assert [fault.line for fault in loader.skipped] == [4]


def test_a_picture_that_changed_after_indexing_is_noticed(media: Path, encoder: Encoder) -> None:
    loaders = [
        PackLoader(
            sources(media), encoder, PackingConfig(max_tokens=600, max_tiles=40, epochs=1, on_fault=policy)
        )
        for policy in ("error", "skip")
    ]
    write_picture(media / "wide.jpg", (20, 20))
    with pytest.raises(ValueError, match="its pictures changed; touch the annotation file"):
        list(loaders[0])
    kept = sorted(key for pack in loaders[1] for key in pack.keys)
    assert kept == ["kinds:0", "kinds:3", "kinds:4", "kinds:5"]
    assert loaders[1].stats.skipped == 2
    assert loaders[1].stats.samples == 4


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TESSERA_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="set TESSERA_CACHE to a folder that can be written"):
        open_index(WeightedSource(ListSource(((9, 1),), stamp="x")), SizedEncoder())
