"""The optimizer's memory survives a round trip, and a diverged step stops."""

import pytest
import torch

from tessera.models.vlm import VLM
from tessera.train.update.optimizers import Optimizer, OptimizerConfig, is_hidden_matrix
from tessera.train.update.rules import Rule, assign
from tests.train import tiny

MUON = OptimizerConfig(kind="muon")


def _optimizer(model: VLM, config: OptimizerConfig) -> Optimizer:
    return Optimizer(assign(model, (tiny.ALL,)), config)


def _step(model: VLM, optimizer: Optimizer, seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return optimizer.step(0.5)


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


def test_divergence_stops() -> None:
    model = tiny.model()
    optimizer = _optimizer(model, MUON)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        optimizer.step(1.0)
