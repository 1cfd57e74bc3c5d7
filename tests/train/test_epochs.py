"""Fields that only the user can give, limits of a manifest, stages that end behind passes over the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera.packing.config import PackingConfig
from tessera.records.export import write_dataset
from tessera.train.loop import Trainer
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start, gaps, to_fill
from tessera.train.setup import set_up
from tests.train import tiny

NANO = Start(family="nano_model")


def _recipe(meta: str, start: Start = NANO, **changes: object) -> Recipe:
    stage = Stage(
        name="own",
        steps=500,
        rules=(tiny.ALL,),
        sources=(ManifestSpec(meta=meta),),
        packing=PackingConfig(max_tokens=600, max_tiles=32),
    ).model_copy(update=changes)
    return Recipe(name="r", stages=(stage,), start=start, precision="float32", device="cpu")


def test_a_run_with_a_field_left_to_fill_does_not_start() -> None:
    recipe = _recipe(to_fill("manifest of your pictures"), Start(checkpoint=to_fill("model of stage 1")))
    assert gaps(recipe) == {
        "stages.0.sources.0.meta": "manifest of your pictures",
        "start.checkpoint": "model of stage 1",
    }
    with pytest.raises(ValueError, match=r"^stages.0.sources.0.meta is yours to fill: manifest of your pict"):
        set_up(recipe)
    assert not gaps(tiny.recipe())


@pytest.fixture(scope="module")
def meta(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, {"shapes": 1.0}, 40, 0, (64, 64), 2, 4)
    return str(folder / "meta.json")


@pytest.mark.parametrize(("epochs", "accumulate"), [(1.0, 1), (2.0, 2), (1.5, 1)])
def test_passes_over_the_data_become_steps(meta: str, epochs: float, accumulate: int, tmp_path: Path) -> None:
    """As many as a loader gives that ends behind those passes, up to the last, half-filled packs."""
    setup = set_up(_recipe(meta, epochs=epochs, accumulate=accumulate))
    steps = setup.recipe.stages[0].steps
    packing = setup.recipe.stages[0].packing.model_copy(update={"epochs": 1})
    once = set_up(_recipe(meta, packing=packing))
    packs = sum(1 for _ in once.loader(0))
    assert steps == pytest.approx(epochs * packs / accumulate, rel=0.12)
    assert Trainer(setup, tmp_path).recipe.stages[0].steps == steps


def test_a_run_goes_on_with_more_data(meta: str, tmp_path: Path) -> None:
    """The steps of a pass follow the data; that they changed is no other recipe."""
    write_dataset(tmp_path / "data", {"shapes": 1.0}, 20, 0, (64, 64), 2, 4)
    own = _recipe(str(tmp_path / "data" / "meta.json"), epochs=1.0).model_copy(update={"save_every": 1})
    first = Trainer(set_up(own), tmp_path / "run")
    steps = first.run()
    next(steps), next(steps)
    steps.close()
    records = tmp_path / "data" / "shapes.jsonl"
    records.write_text(records.read_text() * 2)
    with pytest.raises(ValueError, match="the data changed since the run was saved"):
        Trainer(set_up(own), tmp_path / "run")
    again = Trainer(set_up(own), tmp_path / "run", changed_data=True)
    more = again.recipe.stages[0].steps
    assert more > first.recipe.stages[0].steps and len(list(again.run())) == more - 1


def test_steps_end_a_stage_before_its_passes_do(meta: str) -> None:
    assert set_up(_recipe(meta, epochs=50.0, steps=7)).recipe.stages[0].steps == 7


def test_what_never_ends_has_no_passes() -> None:
    with pytest.raises(ValueError, match="stage 'own': epochs can't be counted, for pictures has no end"):
        set_up(_recipe("unused", epochs=1.0, sources=(tiny.PICTURES,)))


def test_a_tile_limit_for_the_datasets_that_name_none(meta: str, tmp_path: Path) -> None:
    entries = json.loads(Path(meta).read_text())
    (name, entry), root = next(iter(entries.items())), Path(meta).parent
    del entry["max_dynamic_patch"]
    for path in ("annotation", "root"):
        entry[path] = str(root / entry[path])
    both = tmp_path / "both.json"
    both.write_text(json.dumps({name: entry, "own": entry | {"max_dynamic_patch": 3}}))
    assert [d.max_dynamic_patch for d in ManifestSpec(meta=str(both)).read()] == [None, 3]
    assert [d.max_dynamic_patch for d in ManifestSpec(meta=str(both), max_dynamic_patch=4).read()] == [4, 3]
