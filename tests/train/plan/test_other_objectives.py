"""Two towers, and a ViT beside its teacher: planned bytes beside those that a real step takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tessera.packing.config import PackingConfig
from tessera.recipes.shelf import load_recipe
from tessera.records.manifest import PlaygroundSource
from tessera.train.objective.contract import Beginning
from tessera.train.objective.contrastive import ContrastiveObjective
from tessera.train.objective.distillation import DistillationObjective
from tessera.train.objective.preference import PreferenceObjective
from tessera.train.parallel.mesh import ProcessMesh
from tessera.train.parallel.ranks import ALONE
from tessera.train.plan.machine import Machine
from tessera.train.plan.run_plan import plan_run
from tessera.train.plan.subject import teacher_of
from tessera.train.recipe import Recipe, Start
from tessera.train.setup import set_up
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer
from tessera.train.update.rules import assign
from tests.train import tiny
from tests.train.pair_data import preference_recipe, write_pairs
from tests.train.plan.test_memory import Alive

CPU = Machine(torch.device("cpu"), 24 * 10**9)
NOT_TENSORS = ("kernels", "process", "allocator")


def contrastive() -> Recipe:
    objective = ContrastiveObjective(pictures=8)
    return _recipe(Start(family="nano_model"), objective, PackingConfig())


def distillation() -> Recipe:
    packing = PackingConfig(max_tokens=2048, max_tiles=24, lookahead=8, workers=0)
    return _recipe(Start(family="scale_small"), DistillationObjective(teacher="shipped"), packing)


def _recipe(start: Start, objective: Any, packing: PackingConfig) -> Recipe:
    update = {
        "rules": (tiny.ALL,),
        "objective": objective,
        "packing": packing,
        "accumulate": 1,
        "drop_path": None,
        "sources": (PlaygroundSource(name="drawn", suites={"shapes": 1.0}, questions=1),),
    }
    return tiny.recipe(stages=(tiny.recipe().stages[0].model_copy(update=update),), start=start)


def taken(recipe: Recipe) -> int:
    """Bytes of storages at the fullest instant of a real first step."""
    setup = set_up(recipe)
    stage, model, masters = setup.recipe.stages[0], setup.learner.model, Masters(recipe.precision)
    masters.hold(model)
    optimizer = Optimizer(assign(model, stage.rules), stage.optimizer, masters)
    loader = setup.loader(0, ALONE)
    batches = loader.next_step()
    loader.close()
    beside = [weight for module in getattr(model, "beside", ()) for weight in module.parameters()]
    for weight in beside:
        weight.data = weight.data.to(model.vision.like.dtype)
    objective: Any = stage.objective
    if isinstance(objective, PreferenceObjective):
        beginning = Beginning(stage, setup.learner, setup.sources[0], ProcessMesh(), torch.device("cpu"))
        objective = objective.begin(beginning)
        beside += getattr(objective._reference, "model", torch.nn.Module()).parameters()
    state = optimizer.state_tensors().values()
    known = [*model.parameters(), *beside, *(value for _, value in masters.exact(model)), *state]
    with Alive([*known, *(batch.tiles for batch in batches)]) as alive:
        Step(objective, model.train(), torch.device("cpu")).update(batches, optimizer, 1.0)
    return alive.most


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_pairs_take_as_many_bytes_as_planned(precision: str, tmp_path: Path) -> None:
    """Beside a second copy of the weights, and beside a table, which is none."""
    held = {}
    for kind in ("copy", "cached"):
        objective = PreferenceObjective(reference=kind)  # type: ignore[arg-type]
        recipe = preference_recipe(write_pairs(tmp_path / "data", 3), objective, precision=precision)
        (stage,) = plan_run(recipe, CPU).stages
        planned = sum(size for name, size in stage.bytes.items() if name not in NOT_TENSORS)
        assert planned == pytest.approx(taken(recipe), rel=0.05)
        assert stage.flops is not None and stage.supervised > 0
        held[kind] = stage.bytes
    weights = held["copy"].pop("weights of the reference")
    assert weights > 10**5 and "weights of the reference" not in held["cached"]


@pytest.mark.parametrize("made", [contrastive, distillation])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_as_many_bytes_as_a_real_step_takes(made: Callable[[], Recipe], precision: str) -> None:
    recipe = made().model_copy(update={"precision": precision})
    (stage,) = plan_run(recipe, CPU).stages
    planned = sum(size for kind, size in stage.bytes.items() if kind not in NOT_TENSORS)
    assert planned == pytest.approx(taken(recipe), rel=0.05)
    assert stage.flops is None and stage.seconds is None


def test_a_published_teacher_is_known_by_its_name() -> None:
    """InternViT-6B, 45 blocks of 3,200 channels, none of whose files is here."""
    recipe = load_recipe("internvit/300m/distil")
    objective = recipe.stages[0].objective
    assert isinstance(objective, DistillationObjective)
    teacher = teacher_of(objective).vision
    assert (teacher.hidden_size, teacher.num_hidden_layers) == (3200, 45)
    (stage,) = plan_run(recipe, Machine(torch.device("meta"), 24 * 10**9), read_data=False).stages
    assert 2 * 5.4e9 < stage.bytes["teacher"] < 2 * 6e9
    assert stage.bytes["trained weights"] == pytest.approx(2 * 0.305e9, rel=0.03)
