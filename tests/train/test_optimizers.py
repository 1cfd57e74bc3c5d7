"""The optimizer's steps against torch's own, its memory through a round trip, steps that are no number."""

import math

import pytest
import torch
from torch import nn

from tessera.models.vlm import VLM
from tessera.train.parallel.norm import total_norm
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer, OptimizerConfig, is_hidden_matrix
from tessera.train.update.rules import Assignment, Rule, assign
from tests.train import tiny

MUON = OptimizerConfig(kind="muon")
LOSS = torch.zeros(())


def _optimizer(model: VLM, config: OptimizerConfig, masters: Masters | None = None) -> Optimizer:
    return Optimizer(assign(model, (tiny.ALL,)), config, masters)


def _fill(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)


def _step(model: VLM, optimizer: Optimizer, seed: int) -> float:
    _fill(model, seed)
    return float(optimizer.step(0.5, LOSS)[0])


@pytest.mark.parametrize("config", [OptimizerConfig(), MUON])
def test_state_round_trip(config: OptimizerConfig) -> None:
    first, second = tiny.model(), tiny.model()
    one, two = _optimizer(first, config), _optimizer(second, config)
    _step(first, one, 1)
    second.load_state_dict(first.state_dict())
    two.load_state_tensors(one.state_tensors())
    assert _step(first, one, 2) == _step(second, two, 2)
    for (name, left), right in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(left, right), name
    assert one.state_tensors().keys() == two.state_tensors().keys()


@pytest.mark.parametrize("config", [OptimizerConfig(betas=(0.8, 0.9), eps=1e-6), MUON])
def test_steps_are_those_of_torch(config: OptimizerConfig) -> None:
    """Three clipped steps with decay: plain AdamW or Muon on a copy, clipped by torch's function."""
    model, copy = nn.Linear(6, 4), nn.Linear(6, 4)
    copy.load_state_dict(model.state_dict())
    optimizer = Optimizer(assign(model, (tiny.ALL,)), config)
    adamw = {"betas": config.betas, "eps": config.eps, "foreach": False}
    parts: list[torch.optim.Optimizer] = [torch.optim.AdamW([copy.bias], lr=5e-4, weight_decay=0.0, **adamw)]
    if config.kind == "muon":
        settings = {"weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
        parts.append(torch.optim.Muon([copy.weight], lr=5e-4, **settings))
    else:
        parts.append(torch.optim.AdamW([copy.weight], lr=5e-4, weight_decay=0.1, **adamw))
    for seed in range(3):
        _fill(model, seed)
        _fill(copy, seed)
        norm = nn.utils.clip_grad_norm_(copy.parameters(), config.clip)
        torch.testing.assert_close(optimizer.step(0.5, LOSS)[0], norm)
        for part in parts:
            part.step()
    torch.testing.assert_close(list(model.parameters()), list(copy.parameters()), atol=1e-7, rtol=1e-5)


def test_muon_takes_hidden_matrices_alone() -> None:
    model = tiny.model()
    optimizer = _optimizer(model, MUON)
    _step(model, optimizer, 1)
    by_muon = {key.rsplit("/", 1)[0] for key in optimizer.state_tensors() if key.endswith("/momentum_buffer")}
    assert by_muon == {name for name, p in model.named_parameters() if is_hidden_matrix(name, p)}
    assert "decoder.layers.0.mlp.up_proj.weight" in by_muon
    assert not by_muon & {"decoder.embed_tokens.weight", "decoder.lm_head.weight", "connector.norm.weight"}


def test_foreign_state_is_refused() -> None:
    model = tiny.model()
    optimizer = Optimizer(assign(model, (Rule(pattern="vision", learning_rate=1.0), Rule(pattern="."))), MUON)
    with pytest.raises(ValueError, match="resume with the same rules"):
        optimizer.load_state_tensors({"decoder.norm.weight/exp_avg": torch.zeros(3)})


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("where", ["gradient", "loss"])
def test_a_step_that_is_no_number_changes_nothing(where: str, precision: str) -> None:
    """Neither weights nor memory, and the next step is that of an optimizer which never saw it."""
    model, other = tiny.model(), tiny.model()
    optimizers = []
    for each in (model, other):
        masters = Masters(precision)
        masters.hold(each)
        optimizers.append(_optimizer(each, MUON, masters))
        _step(each, optimizers[-1], 1)
    _fill(model, 2)
    if where == "gradient":
        next(model.parameters()).grad[0] = math.inf
    _, finite = optimizers[0].step(1.0, torch.tensor(math.nan) if where == "loss" else LOSS)
    assert not finite and all(p.grad is None for p in model.parameters())
    for each, optimizer in zip((model, other), optimizers, strict=True):
        _step(each, optimizer, 3)
    for key, value in optimizers[0].state_tensors().items():
        assert torch.equal(value, optimizers[1].state_tensors()[key]), key
    for (name, left), right in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right), name


def test_small_steps_add_up_in_the_masters() -> None:
    """A hundredth of a bfloat16's last place, a hundred times: lost without a master."""
    weight = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    masters = Masters("bfloat16")
    config = OptimizerConfig(betas=(0.0, 0.0))
    optimizer = Optimizer([Assignment("w", weight, 1e-4, 0.0)], config, masters)
    for _ in range(100):
        weight.grad = torch.ones_like(weight)
        optimizer.step(1.0, LOSS)
    torch.testing.assert_close(masters.master("w", weight), torch.full((3,), 0.99), atol=1e-5, rtol=0)
    assert torch.equal(weight, torch.full((3,), 0.99).bfloat16())


def test_norm_adds_up_in_float32() -> None:
    gradients = [torch.full((4096,), 1.0), torch.full((513,), 3.0, dtype=torch.bfloat16)]
    assert float(total_norm(gradients)) == pytest.approx(math.sqrt(4096 + 9 * 513), rel=1e-6)
    assert float(total_norm([])) == 0.0
