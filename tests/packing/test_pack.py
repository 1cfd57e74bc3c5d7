"""Samples laid end to end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tessera.packing.pack import Sample, collate


def make_sample(key: str, tokens: int, tiles: int, value: int = 1) -> Sample:
    weights = np.zeros(tokens, dtype=np.float32)
    weights[tokens // 2 + 1 :] = 0.5
    pixels = np.full((tiles, 4, 4, 3), value, dtype=np.uint8)
    return Sample(key, np.full(tokens, value, dtype=np.int32), weights, pixels)


def test_collate_lays_samples_end_to_end() -> None:
    pack = collate([make_sample("a:0", 5, 2, 1), make_sample("b:3", 4, 0, 2), make_sample("a:9", 6, 1, 3)])
    assert pack.ids.dtype == torch.int64
    assert pack.weights.dtype == torch.float32
    assert pack.tiles.dtype == torch.uint8
    assert pack.ids.tolist() == [1] * 5 + [2] * 4 + [3] * 6
    assert pack.lengths == (5, 4, 6)
    assert pack.tiles.shape == (3, 4, 4, 3)
    assert pack.tiles[:, 0, 0, 0].tolist() == [1, 1, 3]
    assert pack.tiles_per_sample == (2, 0, 1)
    assert pack.keys == ("a:0", "b:3", "a:9")
    assert pack.trained == (2, 1, 2)
    assert int((pack.weights > 0).sum()) == sum(pack.trained)


def test_a_target_on_a_first_token_is_refused() -> None:
    sample = make_sample("a:0", 3, 0)
    sample.weights[0] = 1
    with pytest.raises(ValueError, match="a:0: the first token carries a loss weight"):
        collate([sample])


def test_an_empty_pack_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        collate([])
