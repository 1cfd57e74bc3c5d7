"""Drawn masks: they lie on what the answer names, and the data they are written to read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tessera.playground.drawings.marks import COLORS
from tessera.playground.masks import draw_masked, write_masked
from tessera.records.manifest import read_meta
from tessera.records.masks import read_masks
from tessera.records.open import open_sources
from tessera.records.readers.records import RecordReader


def test_masks_lie_on_what_is_named() -> None:
    kinds: dict[str, int] = {}
    for seed in range(60):
        scene = draw_masked(seed)
        pixels = np.asarray(scene.picture).astype(int)
        for question in scene.questions:
            kinds[question.kind] = kinds.get(question.kind, 0) + 1
            assert question.answer.count("[SEG]") == len(question.masks)
            assert (question.answer == "none.") == (not question.masks)
            for part, mask in zip(question.answer.split(", "), question.masks, strict=False):
                assert mask.any() and mask.shape == (64, 64)
                inside = pixels[mask].mean(0)
                assert np.abs(inside - COLORS[part.split(" ")[0]]).max() < 40, (question, inside)
                rows, columns = (axis.mean() for axis in np.nonzero(mask))
                assert ("top" in part) == (rows < 26) and ("right" in part) == (columns > 38), part
    assert {"one", "place", "all", "two", "none"} == kinds.keys() and min(kinds.values()) > 20
    again = draw_masked(3)
    assert again.questions[0].text == draw_masked(3).questions[0].text
    assert again.questions[0].text != draw_masked(4).questions[0].text


def test_written_records_read_back(tmp_path: Path) -> None:
    meta = write_masked(tmp_path / "drawn", 3, seed=5, token="[M]")
    (entry,) = open_sources(read_meta(str(meta)))
    assert isinstance(entry.source, RecordReader) and entry.source.size == 3
    for index in range(3):
        masks = read_masks(entry.source, index, ["[M]"])
        answers = [m.text for m in entry.source.conversation(index).messages if m.role == "assistant"]
        assert sum(answer.count("[M]") for answer in answers) == len(masks)
        assert all(mask.pixels().any() for mask in masks)
