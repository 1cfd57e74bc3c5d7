"""bfloat16 weights: exact values behind them, also in files, and gradients that add up in float32."""

from __future__ import annotations

import torch
from torch import nn

from tessera.packing.pack import collate
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tests.train import tiny


def test_weights_are_rounded_once_and_their_values_kept() -> None:
    model, exact = tiny.model(), dict(tiny.model().named_parameters())
    masters = Masters("bfloat16")
    masters.hold(model)
    masters.hold(model)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.bfloat16
        assert torch.equal(parameter, exact[name].bfloat16()), name
        assert torch.equal(masters.master(name, parameter), exact[name]), name
    assert all(torch.equal(value, exact[name]) for name, value in masters.as_stored(model, {}))


def test_weights_stored_in_bfloat16_are_published_in_it() -> None:
    model = tiny.model().bfloat16()
    masters = Masters("bfloat16")
    masters.hold(model)
    assert all(value.dtype == torch.bfloat16 for _, value in masters.exact(model))
    first = model.decoder.norm.weight
    masters.master("decoder.norm.weight", first).add_(1e-4)
    assert dict(masters.exact(model))["decoder.norm.weight"].dtype == torch.float32
    assert dict(masters.as_stored(model, {}))["decoder.norm.weight"].dtype == torch.bfloat16
    assert all(value.dtype == torch.float32 for _, value in masters.as_stored(model, {}, torch.float32))
    plain = Masters()
    plain.hold(model)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert all(value.dtype == torch.bfloat16 for _, value in plain.as_stored(model, {}))


def test_scalars_stay_float32() -> None:
    module = nn.Module()
    module.temperature = nn.Parameter(torch.tensor(2.65))
    Masters("bfloat16").hold(module)
    assert module.temperature.dtype == torch.float32


def test_gradients_of_several_batches_add_up_in_float32() -> None:
    """Against the sum of the gradients of each batch alone, which are bfloat16."""
    model = tiny.model()
    Masters("bfloat16").hold(model)
    packs = [collate([sample]) for sample in tiny.samples(4)]
    step = Step(ConversationObjective(), model, tiny.CPU)
    whole = sum(step.objective.weight(pack) for pack in packs)
    sums = {name: torch.zeros(p.shape) for name, p in model.named_parameters()}
    for pack in packs:
        model.zero_grad()
        (step.objective.loss_sum(model, pack, tiny.CPU) / whole).backward()
        for name, parameter in model.named_parameters():
            sums[name] += 0 if parameter.grad is None else parameter.grad.float()
    model.zero_grad()
    step.gradients(packs)
    for name, parameter in model.named_parameters():
        assert parameter.grad.dtype == torch.float32
        torch.testing.assert_close(parameter.grad, sums[name], atol=0, rtol=1e-6)
