"""Settings that can't be meant are refused before the first step, by field, value and remedy."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tessera.train.recipe import ManifestSpec, Recipe
from tessera.train.setup import set_up
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.schedule import Schedule
from tests.train import tiny

RULE = tiny.ALL


def _stage(**changes: object) -> Recipe:
    recipe = tiny.recipe()
    return recipe.model_copy(update={"stages": (recipe.stages[0].model_copy(update=changes),)})


def _rule(**changes: object) -> Recipe:
    return _stage(rules=(RULE.model_copy(update=changes),))


def _optimizer(**changes: object) -> Recipe:
    return _stage(optimizer=OptimizerConfig().model_copy(update=changes))


def _schedule(**changes: object) -> Recipe:
    return _stage(schedule=Schedule().model_copy(update=changes))


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (_rule(learning_rate=0.0), r"rules\.0\.learning_rate = 0\.0: .*leave it out to freeze"),
        (_rule(learning_rate=-1e-4), r"rules\.0\.learning_rate = -0\.0001: .*greater than or equal to 0"),
        (_rule(learning_rate=math.nan), r"rules\.0\.learning_rate = nan"),
        (_rule(weight_decay=-0.1), r"rules\.0\.weight_decay = -0\.1"),
        (_rule(layer_decay=1.5), r"rules\.0\.layer_decay = 1\.5"),
        (_rule(no_decay=("matrices",)), r"rules\.0\.no_decay\.0 = .*matrices"),
        (_stage(steps=0), r"recipe\.stages\.0\.steps = 0"),
        (_stage(rules=()), r"stages\.0\.rules"),
        (_stage(sources=()), r"stages\.0\.sources"),
        (_stage(drop_path=1.0), r"stages\.0\.drop_path = 1\.0"),
        (_optimizer(betas=(0.9, 1.0)), r"optimizer\.betas\.1 = 1\.0"),
        (_optimizer(eps=0.0), r"optimizer\.eps = 0\.0"),
        (_optimizer(clip=0.0), r"optimizer\.clip = 0\.0"),
        (_optimizer(clip=math.nan), r"optimizer\.clip = nan"),
        (_optimizer(muon_rate=-1.0), r"optimizer\.muon_rate = -1\.0"),
        (_optimizer(ema=1.0), r"optimizer\.ema = 1\.0"),
        (_schedule(warmup=-1), r"schedule\.warmup.* = -1"),
        (_schedule(warmup=1.5), r"schedule\.warmup.*1\.5.*write steps as an integer"),
        (_schedule(floor=-0.1), r"schedule\.floor = -0\.1"),
        (_schedule(hold=2.0), r"schedule\.hold = 2\.0"),
        (_schedule(horizon=0), r"schedule\.horizon = 0"),
        (_schedule(horizon=2), r"schedule\.horizon = 2 ends before steps = 3.*give schedule\.floor"),
        (tiny.recipe().model_copy(update={"save_every": 0}), r"recipe\.save_every = 0"),
    ],
)
def test_impossible_settings_are_refused_by_field(recipe: Recipe, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        set_up(recipe)


def test_a_warm_up_that_never_ends_is_remarked() -> None:
    assert _schedule(warmup=0.5).stages[0].remarks == []
    (line,) = _schedule(warmup=3).stages[0].remarks
    assert line.startswith("stage 'warm_up': its 3 steps end in a warm-up of 3")


def test_a_source_without_records_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    meta = tmp_path / "meta.json"
    meta.write_text('{"none": {"root": ".", "annotation": "empty.jsonl", "repeat_time": 1, "length": 0}}')
    with pytest.raises(ValueError, match=r"none.*no record|empty"):
        set_up(_stage(sources=(ManifestSpec(meta=str(meta)),)))
