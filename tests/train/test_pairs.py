"""Contrastive batches: what belongs together, which patches a region covers, where a saved loader goes on."""

from typing import cast

import numpy as np
import pytest
import torch

from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.shipped import shipped_folder
from tessera.playground.parts import Region
from tessera.records.manifest import PlaygroundSource
from tessera.train.objective.contract import StageData
from tessera.train.objective.contrastive import ContrastiveObjective, PairLearner
from tessera.train.objective.pairs import PairBatch, PairLoader, PairMaker, patch_cover

SOURCE = PlaygroundSource(suites={"shapes": 1.0, "text": 1.0, "chart": 1.0})


def _loader(seed: int = 0, workers: int = 0) -> PairLoader:
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    maker = PairMaker((SOURCE,), tokenizer, pictures=6, tile_side=64, grid=8, seed=seed)
    return PairLoader(maker, workers)


def _same(one: PairBatch, two: PairBatch) -> bool:
    fields = [(getattr(one, f), getattr(two, f)) for f in one.__dataclass_fields__]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in fields)


def test_regions_match_the_phrase_that_names_them() -> None:
    loader = _loader()
    batch = next(loader)
    starts = np.cumsum([0, *batch.phrase_lengths])
    ids = batch.phrase_ids.tolist()
    phrases = [loader.maker.tokenizer.decode(ids[a:b]) for a, b in zip(starts, starts[1:], strict=False)]
    assert len(set(phrases)) == len(phrases)
    assert batch.region_match.sum(1).eq(1).all()
    expected = [r.phrase for i in range(6) for r in loader.maker.scene(i).regions]
    assert [phrases[row.nonzero().item()] for row in batch.region_match] == expected
    assert batch.tiles.shape == (6, 64, 64, 3) and batch.tiles.dtype == torch.uint8
    torch.testing.assert_close(batch.region_cover.sum(1), torch.ones(len(expected)))


def test_clips_and_several_pictures_are_told_before_the_start() -> None:
    """A worker stopped at an assertion without a word, and a source has both by default."""
    data = StageData(name="start", sources=(PlaygroundSource(name="drawn"),))
    with pytest.raises(ValueError, match=r"stage 'start': source 'drawn': suites pair, clip show"):
        ContrastiveObjective().check(data, cast(PairLearner, None))


def test_equal_captions_are_matches_too() -> None:
    batch = next(_loader())
    assert batch.caption_match.diagonal().all()
    assert torch.equal(batch.caption_match, batch.caption_match.t())


def test_patch_cover_by_hand() -> None:
    """A box over the left half of the first row of a 2 x 2 grid and a quarter of the second column."""
    cover = patch_cover(Region("x", (0.0, 0.0, 0.625, 0.5)), 2)
    assert cover.tolist() == pytest.approx([0.8, 0.2, 0.0, 0.0])
    with pytest.raises(ValueError, match="covers nothing"):
        patch_cover(Region("x", (0.5, 0.5, 0.5, 0.6)), 2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_saved_loader_goes_on_at_the_same_batch(workers: int) -> None:
    whole = _loader()
    batches = [next(whole) for _ in range(3)]
    resumed = _loader(workers=workers)
    next(resumed)
    state = resumed.state_dict()
    resumed.close()
    again = _loader(workers=workers)
    again.load_state_dict(state)
    assert _same(next(again), batches[1]) and _same(next(again), batches[2])
    assert not _same(next(_loader(seed=1)), batches[0])
    again.close()
