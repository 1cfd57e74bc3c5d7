"""The running mean of weights: by hand, through a resumed run, published beside the model of its stage."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn

from tessera.checkpoints.load import load_checkpoint
from tessera.train.loop import Trainer
from tessera.train.objective.learner import base_folder
from tessera.train.recipe import Recipe
from tessera.train.setup import set_up
from tessera.train.update import parts
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer, OptimizerConfig
from tessera.train.update.rules import Assignment
from tests.train import tiny


def test_mean_by_hand() -> None:
    """Of masters, not of rounded weights; a step that is no number doesn't count."""
    weight = nn.Parameter(torch.tensor([1.0, 1.001, -2.0]).bfloat16())
    masters = Masters("bfloat16")
    optimizer = Optimizer([Assignment("w", weight, 1e-3, 0.0)], OptimizerConfig(ema=0.75), masters)
    mean = weight.detach().float()
    for step in range(5):
        weight.grad = None if step == 3 else torch.randn(3).bfloat16()
        optimizer.step(1.0, torch.tensor(float("nan") if step == 2 else 0.0))
        if step != 2:
            mean = 0.75 * mean + 0.25 * masters.master("w", weight)
    torch.testing.assert_close(optimizer.averages()["w"], mean, atol=1e-6, rtol=0)


def _recipe(precision: str) -> Recipe:
    """Two stages of the connector, with a mean in the second."""
    stage = tiny.recipe().stages[0].model_copy(update={"steps": 2})
    second = stage.model_copy(update={"name": "second", "steps": 4, "optimizer": OptimizerConfig(ema=0.5)})
    return tiny.recipe(stages=(stage, second), precision=precision)


@pytest.mark.parametrize(
    ("killed_after", "going_on_at", "precision"), [(3, (1, 0), "float32"), (5, (1, 2), "bfloat16")]
)
def test_a_run_publishes_it_and_goes_on_with_it(
    killed_after: int, going_on_at: tuple[int, int], precision: str, tmp_path: Path
) -> None:
    """Also from the border of its stage, where the mean begins with the weights that the state has."""
    whole, half = tmp_path / "whole", tmp_path / "half"
    list(Trainer(set_up(_recipe(precision)), whole).run())
    run = Trainer(set_up(_recipe(precision)), half).run()
    assert len(list(islice(run, killed_after))) == killed_after
    run.close()
    again_run = Trainer(set_up(_recipe(precision)), half)
    assert again_run.resumed_at == going_on_at
    list(again_run.run())
    models = [
        load_checkpoint(folder / f"1_second{end}").model for folder in (whole, half) for end in ("", "_ema")
    ]
    raw, mean, _, again = (dict(model.named_parameters()) for model in models)
    assert all(torch.equal(value, again[name]) for name, value in mean.items())
    differs = {name.split(".")[0] for name, value in mean.items() if not torch.equal(value, raw[name])}
    assert differs == {"connector"}  # what is frozen is its own mean


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_visits_of_offloaded_memory_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With copies instead of a second device: what is changed there must come home."""
    ends = []
    for offload in (False, True):
        model, masters = nn.Linear(6, 4), Masters("bfloat16")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
        masters.hold(model)
        trained = [Assignment(name, p, 1e-2, 0.1) for name, p in model.named_parameters()]
        optimizer = Optimizer(trained, OptimizerConfig(kind=kind, ema=0.5, offload=offload), masters)
        if offload:
            monkeypatch.setattr(parts, "_visiting", lambda tensor, _: tensor.clone())
        for step in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, 0.1 * (step + 1))
            optimizer.step(1.0, torch.zeros(()))
        optimizer.settle()
        ends.append(optimizer.state_tensors() | dict(masters.exact(model)) | dict(model.named_parameters()))
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_a_run_means_its_last_stage_and_not_the_mean_beside_it(tmp_path: Path) -> None:
    """The two folders begin with the same number: which one a second run began from was chance."""
    for name in ("0_first", "1_full", "1_full_ema"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tessera.json").write_text("{}")
    assert base_folder(str(tmp_path), "model") == tmp_path / "1_full"
