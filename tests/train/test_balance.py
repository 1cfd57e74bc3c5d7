"""The balance loss in training: what it adds, that packs count it alike, and what refuses it."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from tessera.nn.experts.balance import balance_loss, router_scores
from tessera.nn.lora import LoRAConfig
from tessera.packing.config import Limits
from tessera.packing.pack import collate
from tessera.train.objective.answers import layout_of
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.preference import PreferenceObjective
from tessera.train.plan.flops import effort_of, forward_work
from tessera.train.step import Step
from tessera.train.update.rules import DECODER_LINEARS, Rule
from tessera.train.update.wrapping import require_linears
from tests.train import tiny


def _loss(balance: float, **how: object) -> float:
    model = tiny.model(family="nano_moe")
    objective = ConversationObjective(router_balance=balance)
    return float(Step(objective, model, tiny.CPU, **how).gradients([collate(tiny.samples(3))])[0])  # type: ignore[arg-type]


def test_the_loss_is_the_mean_and_so_much_of_the_balance() -> None:
    model, pack = tiny.model(family="nano_moe"), collate(tiny.samples(3))
    with torch.no_grad(), router_scores(model) as scores:
        model(pack.ids, layout_of(pack), tiles=pack.tiles)
    expected = _loss(0.0) + 0.5 * float(balance_loss(scores, 2))
    assert _loss(0.5) == pytest.approx(expected, abs=1e-5)


def test_padding_of_filled_packs_does_not_count() -> None:
    assert _loss(0.5, filled_to=Limits(max_tokens=1024, max_tiles=32)) == pytest.approx(_loss(0.5), abs=1e-5)


def test_frozen_routers_and_measurements_have_none() -> None:
    model, objective = tiny.model(family="nano_moe"), ConversationObjective(router_balance=0.5)
    assert objective.balance_of(model) == 0.5 and ConversationObjective().balance_of(model) == 0.001
    with torch.no_grad():
        assert objective.balance_of(model) == 0.0
    model.decoder.requires_grad_(False)
    assert objective.balance_of(model) == 0.0
    assert objective.balance_of(tiny.model()) == 0.0


def test_stages_without_a_balance_loss_say_so() -> None:
    with pytest.raises(ValidationError, match="router_balance = 0.1: a stage of preference"):
        PreferenceObjective(router_balance=0.1)


def test_lora_leaves_experts_alone_or_says_what_to_name() -> None:
    model = tiny.model(family="nano_moe")
    require_linears(model, (Rule(pattern=DECODER_LINEARS, lora=LoRAConfig(rank=2), learning_rate=1e-3),))
    with pytest.raises(ValueError, match="the experts of a block: name attention alone"):
        require_linears(model, (Rule(pattern=r"^decoder\.layers", lora=LoRAConfig(), learning_rate=1e-3),))


def test_plans_count_what_a_token_meets() -> None:
    """Twice the experts at the same choice: the same work."""
    config = tiny.model(family="nano_moe").config
    experts = config.decoder.experts
    assert experts is not None
    more = config.decoder.model_copy(update={"experts": experts.model_copy(update={"count": 8})})
    wider = config.model_copy(update={"decoder": more})
    rules = (tiny.ALL,)
    assert forward_work(wider).token == forward_work(config).token
    assert effort_of(wider, rules).token == effort_of(config, rules).token
    per_token = 2 * (config.decoder.weights().int8_entries - config.decoder.idle_weights())
    assert forward_work(config).token == per_token
    assert effort_of(config, rules).token > 1.5 * per_token  # forward and backward, the last block apart
