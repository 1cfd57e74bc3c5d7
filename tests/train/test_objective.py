"""An objective is one value: told apart by its kind, fitting the run's model, unknown to step and loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tessera.nn.drop_path import set_drop_path
from tessera.train.objective.contract import Counts
from tessera.train.objective.contrastive import ContrastiveObjective
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.recipe import ManifestSpec, Recipe, Stage, Start
from tessera.train.setup import set_up
from tessera.train.step import Step
from tessera.train.update.optimizers import Optimizer, OptimizerConfig
from tessera.train.update.rules import assign
from tests.train import tiny

SHOWN = tiny.PICTURES.model_copy(update={"suites": {"shapes": 1.0}})


def _stage(**changes: object) -> Stage:
    settings = {"name": "pairs", "steps": 1, "rules": (tiny.ALL,), "sources": (SHOWN,)}
    return Stage(**settings | {"objective": ContrastiveObjective(pictures=4)} | changes)


def _recipe(*stages: Stage, **start: str) -> Recipe:
    return Recipe(name="mixed", stages=stages, start=Start(family="nano_model", **start))


def test_the_kind_decides() -> None:
    plain = _stage().model_dump(mode="json")
    assert plain["objective"] == {"kind": "contrastive", "pictures": 4, "region_share": 0.5}
    assert Stage.model_validate(plain) == _stage()
    unnamed = Stage.model_validate({name: value for name, value in plain.items() if name != "objective"})
    assert isinstance(unnamed.objective, ConversationObjective)
    for wrong, message in (
        ({"kind": "guessing"}, "'guessing' found using 'kind'"),
        ({"kind": "conversation", "pictures": 4}, "Extra inputs are not permitted"),
    ):
        with pytest.raises(ValueError, match=message):
            Stage.model_validate(plain | {"objective": wrong})


def test_stages_that_train_different_models_are_refused() -> None:
    mixed = _recipe(_stage(name="talk", objective=ConversationObjective()), _stage())
    with pytest.raises(
        ValueError, match=r"'pairs' \(contrastive\) can't train the model of 'talk' \(conversation\)"
    ):
        set_up(mixed)


def test_what_a_contrastive_run_cannot_use_is_refused() -> None:
    with pytest.raises(ValueError, match="stage 'pairs': contrastive stages draw their pairs"):
        set_up(_recipe(_stage(sources=(tiny.PICTURES, ManifestSpec(meta="mine.json")))))
    with pytest.raises(
        ValueError, match=r"start\.checkpoint = 'shipped': a contrastive run trains two towers"
    ):
        set_up(_recipe(_stage(), checkpoint="shipped"))
    with pytest.raises(ValueError, match=r"start\.decoder = .*: contrastive runs have a text tower"):
        set_up(_recipe(_stage(), decoder="shipped"))


def test_a_contrastive_run_goes_on_from_a_saved_vit(tmp_path: Path) -> None:
    first = set_up(_recipe(_stage()).model_copy(update={"seed": 5}))
    first.save(tmp_path, first.learner.model.named_parameters())
    again = set_up(_recipe(_stage(), vision=str(tmp_path)))
    assert torch.equal(*(s.learner.model.vision.embeddings.position_embedding for s in (first, again)))


class Square:
    """A made-up objective on a made-up model: the mean square of what a linear layer gives."""

    def weight(self, batch: torch.Tensor) -> float:
        return float(len(batch))

    def loss_sum(self, model: nn.Module, batch: torch.Tensor, device: torch.device) -> torch.Tensor:
        return model(batch).square().sum()

    def counts(self, batch: torch.Tensor) -> Counts:
        return Counts(samples=len(batch))

    def keys(self, batch: torch.Tensor) -> tuple[str, ...]:
        return ("made up",)


def test_a_step_knows_no_objective_and_no_model() -> None:
    model = nn.Linear(3, 1)
    batches = [torch.randn(n, 3) for n in (2, 5)]
    expected = model(torch.cat(batches)).square().mean().item()
    step = Step(Square(), model, tiny.CPU)
    losses = [
        step.update(batches, Optimizer(assign(model, (tiny.ALL,)), OptimizerConfig()), 1.0) for _ in range(2)
    ]
    assert losses[0].loss == pytest.approx(expected, abs=1e-6) and losses[0].normaliser == 7
    assert losses[1].loss < losses[0].loss


def test_drop_path_grows_with_depth_in_any_model() -> None:
    blocks = nn.Sequential(*(nn.Identity() for _ in range(3)), nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"drop_path = 0\.2: Sequential drops no paths"):
        set_drop_path(blocks, 0.2)
    for block in blocks[:3]:
        block.drop_path = 0.1
    set_drop_path(blocks, None)
    assert [block.drop_path for block in blocks[:3]] == [0.1] * 3
    set_drop_path(blocks, 0.2)
    assert [block.drop_path for block in blocks[:3]] == pytest.approx([0.0, 0.1, 0.2])
