"""A frozen ViT sees a tile once: what the disk gives is what the ViT gave, to the bit, or it is an error."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import nn

from tessera.models.vlm import VLM
from tessera.records.source import WeightedSource
from tessera.train.loop import Trainer
from tessera.train.recipe import Recipe
from tessera.train.setup import set_up
from tessera.train.update.rules import Rule
from tessera.train.vision_cache import VisionCache, require_cacheable
from tests.train import tiny

GIB = 2**30


def _frozen(dtype: torch.dtype = torch.float32) -> VLM:
    model = tiny.model().to(dtype)
    model.vision.requires_grad_(False)
    return model


def _tiles(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    side = tiny.model().config.tile_side
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gives_what_the_vit_gives_and_computes_nothing_twice(tmp_path: Path, dtype: torch.dtype) -> None:
    model, tiles = _frozen(dtype), _tiles(5)
    alone = torch.cat([model.look(tile[None]) for tile in tiles])
    cache = VisionCache(tmp_path, model, GIB)
    assert torch.equal(cache.states(tiles[:3]), alone[:3])
    assert torch.equal(cache.states(tiles[[4, 1, 4, 0, 3]]), alone[[4, 1, 4, 0, 3]])
    assert cache.computed == 5
    cache.close()
    again = VisionCache(tmp_path, model, GIB)
    assert torch.equal(again.states(tiles), alone)
    assert (again.found, again.computed) == (5, 0)
    again.close()


def test_processes_read_what_others_wrote(tmp_path: Path) -> None:
    model, tiles = _frozen(), _tiles(4)
    first, second = (VisionCache(tmp_path, model, GIB, rank) for rank in (0, 1))
    first.states(tiles[:2]), second.states(tiles[2:])
    first.close(), second.close()
    third = VisionCache(tmp_path, model, GIB, 2)
    third.states(tiles)
    assert (third.found, third.computed) == (4, 0)
    with pytest.raises(ValueError, match="is in use by"):
        VisionCache(tmp_path, model, GIB, 2)
    third.close()


@pytest.mark.parametrize("states, names", [(-1, 0), (7, 0), (0, -3), (-10_000, 5)])
def test_a_crash_loses_rows_and_never_mixes_them(tmp_path: Path, states: int, names: int) -> None:
    """Files too short, or longer than what was finished, as a kill between two writes leaves them."""
    model, tiles = _frozen(), _tiles(4)
    alone = torch.cat([model.look(tile[None]) for tile in tiles])
    cache = VisionCache(tmp_path, model, GIB)
    cache.states(tiles[:3])
    cache.close()
    for name, change in (("states.bin", states), ("tiles.bin", names)):
        (file,) = tmp_path.glob(f"*/process0/{name}")
        content = file.read_bytes()
        file.write_bytes(content[:change] if change < 0 else content + b"x" * change)
    for _ in range(2):
        again = VisionCache(tmp_path, model, GIB)
        assert torch.equal(again.states(tiles), alone)
        again.close()
    assert again.found == 4


def test_stays_within_its_size(tmp_path: Path) -> None:
    model, tiles = _frozen(), _tiles(4)
    row = model.look(tiles[:1]).nbytes
    cache = VisionCache(tmp_path, model, 2 * row + 1)
    for _ in range(2):
        assert torch.equal(cache.states(tiles), torch.cat([model.look(tile[None]) for tile in tiles]))
    cache.close()
    assert (cache.found, cache.computed) == (2, 6)
    assert sum(file.stat().st_size for file in tmp_path.glob("*/*/states.bin")) == 2 * row


def test_another_vit_has_another_folder(tmp_path: Path) -> None:
    model, other = _frozen(), _frozen()
    nn.init.normal_(other.vision.layers[0].mlp.fc1.bias)  # type: ignore[arg-type]
    for each in (model, other, _frozen(torch.bfloat16), _frozen()):
        cache = VisionCache(tmp_path, each, GIB)
        cache.states(_tiles(1))
        cache.close()
    assert len(list(tmp_path.iterdir())) == 3
    assert cache.computed == 0


def _warm_up(folder: Path | None, **changes: object) -> Recipe:
    """The connector alone learns."""
    recipe = tiny.recipe()
    cached = {"cache_features": None if folder is None else str(folder), "drop_path": 0.0}
    stage = recipe.stages[0].model_copy(update=cached | changes)
    return recipe.model_copy(update={"stages": (stage,)})


def _run(recipe: Recipe, out: Path) -> tuple[list[float], int]:
    """Losses, and tiles that went through the ViT."""
    trainer, seen = Trainer(set_up(recipe), out), 0

    def count(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal seen
        seen += len(inputs[0])

    model = trainer.model
    assert isinstance(model, VLM)
    model.vision.register_forward_pre_hook(count)
    return [report.loss for report in trainer.run()], seen


def test_a_run_learns_the_same_and_the_next_one_leaves_the_vit_out(tmp_path: Path) -> None:
    losses, tiles = _run(_warm_up(None), tmp_path / "plain")
    first, computed = _run(_warm_up(tmp_path / "cache"), tmp_path / "first")
    second, left = _run(_warm_up(tmp_path / "cache"), tmp_path / "second")
    assert first == pytest.approx(losses, abs=1e-5)
    assert second == first
    assert 0 < computed <= tiles
    assert left == 0


def test_reading_is_faster_than_computing(tmp_path: Path) -> None:
    model, tiles = _frozen(), _tiles(32)
    cache = VisionCache(tmp_path, model, GIB)
    seconds = []
    for _ in range(4):
        start = time.process_time()
        cache.states(tiles)
        seconds.append(time.process_time() - start)
    cache.close()
    assert seconds[0] > 2 * min(seconds[1:])


def test_what_changes_between_epochs_is_refused(tmp_path: Path) -> None:
    model = tiny.model()
    (stage,) = _warm_up(tmp_path).stages
    require_cacheable(stage, model, ())
    trained = stage.model_copy(update={"rules": (Rule(pattern="fc1", learning_rate=1.0), Rule(pattern="."))})
    with pytest.raises(ValueError, match=r"vision\.layers\.0\.mlp\.fc1\.weight is trained"):
        require_cacheable(trained, model, ())
    with pytest.raises(ValueError, match="Linear has no ViT before a connector"):
        require_cacheable(stage, nn.Linear(2, 2), ())
    reader = set_up(_warm_up(None)).sources[0][0].source
    with pytest.raises(ValueError, match="pictures augments its pictures"):
        require_cacheable(stage, model, (WeightedSource(reader, augment=True),))
    with pytest.raises(ValueError, match="drops paths at random; give drop_path = 0"):
        _run(_warm_up(tmp_path / "cache", drop_path=0.2), tmp_path / "run")
