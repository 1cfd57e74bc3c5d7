"""Plans of a model with visual experts: FLOPs and bytes beside those of a real step."""

from __future__ import annotations

import pytest
import torch

from tessera.packing.pack import collate
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.plan.flops import effort_of, forward_work
from tessera.train.plan.memory import count
from tessera.train.plan.packs import PackPlan
from tessera.train.plan.shape import stage_model
from tessera.train.plan.subject import chat
from tessera.train.plan.trial import Conditions
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer, OptimizerConfig
from tessera.train.update.rules import Rule, assign
from tests.train import mono, tiny
from tests.train.plan.test_flops import Products
from tests.train.plan.test_memory import Alive, stage_of

EYES = (
    Rule(pattern=r"^(vision|connector)\.|\.mlp_visual\.", learning_rate=1e-3),
    Rule(pattern="."),
)


@pytest.mark.parametrize("name", ["nano_mono", "nano_mono_attention"])
@pytest.mark.parametrize("rules", [(tiny.ALL,), EYES], ids=["all", "experts"])
def test_flops_are_those_of_a_step(rules: tuple[Rule, ...], name: str) -> None:
    """Text and pictures in other shares than the plan's own trial has."""
    model = mono.model(name=name)
    assign(model, rules)
    for count_ in (2, 4):
        pack = collate(tiny.samples(count_))
        with Products() as counter:
            Step(ConversationObjective(), model, torch.device("cpu")).gradients([pack])
        pairs = sum(length**2 for length in pack.lengths)
        found = effort_of(model.config, rules).of(
            tiles=len(pack.tiles), tokens=sum(pack.lengths), pairs=pairs, supervised=sum(pack.trained)
        )
        assert found == pytest.approx(counter.total, rel=0.02)


def test_a_token_costs_what_it_costs_without_experts() -> None:
    config = mono.model().config
    plain = config.model_copy(update={"decoder": config.decoder.model_copy(update={"visual_experts": False})})
    with_experts, without = (effort_of(each, (tiny.ALL,)) for each in (config, plain))
    assert with_experts == without
    assert forward_work(config) == forward_work(plain)


@pytest.mark.parametrize("rules", [(tiny.ALL,), EYES], ids=["all", "experts"])
def test_bytes_are_those_of_a_step(rules: tuple[Rule, ...]) -> None:
    stage, masters, model = stage_of(rules, optimizer=OptimizerConfig()), Masters("float32"), mono.model()
    masters.hold(model)
    optimizer = Optimizer(assign(model, rules), stage.optimizer, masters)
    samples = tiny.samples(6)
    pack = collate(samples)
    values = [value for _, value in masters.exact(model)]
    known = [*model.parameters(), *values, *optimizer.state_tensors().values(), pack.tiles]
    with Alive(known) as alive:
        Step(stage.objective, model.train(), tiny.CPU).update([pack], optimizer, 1.0)
    plan = PackPlan(tuple(sample.lengths for sample in samples), "drawn")
    conditions = Conditions(tiny.CPU, torch.float32, torch.float32)
    given = [chat(model.config, plan).batch]
    planned = count(stage_model(model.config, rules), stage, given, conditions).total
    assert planned == pytest.approx(alive.most, rel=0.05)
