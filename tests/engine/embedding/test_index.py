"""An index in a file: what changed is made anew, the rest kept; and what cannot be read is told."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from tessera.engine.embedding.clips import embed_clip
from tessera.engine.embedding.embedder import Embedder
from tessera.engine.embedding.index import Made, Refreshed, read_index, refresh
from tessera.engine.embedding.items import items_of
from tests.engine.embedding.fake_pair import FakePair


def draw(file: Path, colour: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (8, 6), colour).save(file)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in (("a/red.png", "red"), ("blue.png", "blue"), ("green.jpg", "green")):
        draw(tmp_path / "pictures" / name, colour)
    return tmp_path / "pictures"


def renewed(model: FakePair, folder: Path, old: Refreshed | None = None, mode: str = "c") -> Refreshed:
    before = old.index if old else None
    return refresh(model, folder, items_of(folder), Made.by(model, mode, 8), before)


def test_what_did_not_change_is_kept(folder: Path) -> None:
    assert isinstance(FakePair(), Embedder)
    first = renewed(FakePair(), folder)
    assert [item.name for item in first.index.items] == ["a/red.png", "blue.png", "green.jpg"]
    assert (first.added, first.kept, first.removed) == (3, 0, 0)
    draw(folder / "blue.png", "white")
    os.utime(folder / "blue.png", ns=(1, 1))
    (folder / "green.jpg").unlink()
    draw(folder / "new.png", "black")
    model = FakePair()
    second = renewed(model, folder, first)
    assert (second.kept, second.renewed, second.added, second.removed) == (1, 1, 1, 1)
    assert model.pictures == 2
    whole = renewed(FakePair(), folder)
    assert torch.equal(second.index.rows, whole.index.rows)
    assert second.index.items == whole.index.items
    assert not renewed(FakePair(), folder, second).changed


@pytest.mark.parametrize("change", ["weights", "mode"])
def test_another_model_or_mode_makes_every_row_anew(folder: Path, change: str) -> None:
    first = renewed(FakePair(), folder)
    model = FakePair("2" if change == "weights" else "1")
    second = renewed(model, folder, first, "g" if change == "mode" else "c")
    assert (second.kept, second.renewed, model.pictures) == (0, 3, 3)


def test_a_saved_index_is_the_same(folder: Path, tmp_path: Path) -> None:
    draw(folder / "Bild ö\n1.png", "red")
    index = renewed(FakePair(), folder).index
    index.save(tmp_path / "kept.safetensors")
    again = read_index(tmp_path / "kept.safetensors")
    assert (again.made, again.items) == (index.made, index.items)
    assert torch.equal(again.rows, index.rows)
    assert list(tmp_path.glob("*.part")) == []


def test_files_that_cannot_be_read_are_told_and_tried_again(folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    first = renewed(FakePair(), folder)
    assert len(first.index.items) == 3
    assert "broken.png" in first.unreadable[0]
    draw(folder / "broken.png", "red")
    assert renewed(FakePair(), folder, first).added == 1


def test_captions_are_a_place_too(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text('{"caption": "a red ball"}\n{"text": ["a blue box", "a red ball"]}\n')
    done = renewed(FakePair(), file)
    assert [item.name for item in done.index.items] == ["a red ball", "a blue box"]
    file.write_text('{"caption": "a red ball"}\n{"caption": 3}\n')
    with pytest.raises(ValueError, match="line 2: caption = 3"):
        items_of(file)


def test_clips_are_the_mean_of_their_frames(tmp_path: Path) -> None:
    """Frames red, red, red, blue: the mean of rows as the heads give them, made a unit row."""
    for number, colour in enumerate(("red", "red", "red", "blue")):
        draw(tmp_path / "clip" / f"{number}.png", colour)
    model = FakePair()
    row = embed_clip(model, tmp_path / "clip", frames=4)
    expected = np.array([0.75, 0, 0.25, 0.1])
    np.testing.assert_allclose(row.numpy(), expected / np.linalg.norm(expected), atol=1e-6)
    assert model.fits == {"crop"}


@pytest.mark.parametrize(
    ("place", "what"),
    [("empty", "no picture and no clip"), ("a.pdf", "a folder of pictures, or captions")],
)
def test_places_without_anything_are_refused(tmp_path: Path, place: str, what: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=what):
        items_of(tmp_path / place)


def test_another_file_is_no_index(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"12345678{}")
    with pytest.raises(ValueError, match="index: .* cannot be read"):
        read_index(tmp_path / "x.safetensors")
