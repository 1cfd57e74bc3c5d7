"""LoRA layers against PEFT's own, and what they keep in memory."""

from __future__ import annotations

import copy

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from tessera.nn.linear import LinearKind, make_linear
from tessera.nn.lora import LoRAConfig, LoRALinear, added, kept_numbers, own_name, weight_of

PLAIN = LoRAConfig(rank=4, alpha=6, dropout=0.0)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def wrapped(config: LoRAConfig = PLAIN, kind: LinearKind = "plain", seed: int = 3) -> LoRALinear:
    """With factors that add something."""
    base = make_linear(kind, noise(24, 32), noise(24, seed=1))
    layer = LoRALinear(base, config, seed)  # type: ignore[arg-type]
    with torch.no_grad():
        layer.lora_B.copy_(noise(24, config.rank, seed=2))
    return layer


@pytest.mark.parametrize("rslora", [False, True])
def test_pefts_layer_gives_the_same(rslora: bool) -> None:
    """Result, gradients and merged weight of PEFT 0.21 with the same factors."""
    peft = pytest.importorskip("peft", reason="peft, the oracle of LoRA, is not installed")
    ours = wrapped(LoRAConfig(rank=4, alpha=6, dropout=0, rslora=rslora))
    model = nn.Sequential(copy.deepcopy(ours.base))
    said = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["0"], use_rslora=rslora)
    theirs = peft.get_peft_model(model, said)
    inner = theirs.base_model.model[0]
    with torch.no_grad():
        inner.lora_A["default"].weight.copy_(ours.lora_A)
        inner.lora_B["default"].weight.copy_(ours.lora_B)
    x, grad = noise(2, 7, 32, seed=4), noise(2, 7, 24, seed=5)
    first, second = x.clone().requires_grad_(), x.clone().requires_grad_()
    for out, given in ((ours(first), first), (theirs(second), second)):
        (out * grad).sum().backward()
        assert given.grad is not None
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(first.grad, second.grad)
    torch.testing.assert_close(ours.lora_A.grad, inner.lora_A["default"].weight.grad)
    torch.testing.assert_close(ours.lora_B.grad, inner.lora_B["default"].weight.grad)
    merged = added(ours.weight, ours.lora_B, ours.lora_A, ours.scale)
    torch.testing.assert_close(merged, theirs.merge_and_unload()[0].weight)


def test_starting_values_are_pefts() -> None:
    """B is zero, so that nothing changes at first; A is uniform within 1 / sqrt(in), from the seed alone."""
    base = nn.Linear(400, 24)
    layers = [LoRALinear(copy.deepcopy(base), LoRAConfig(rank=32), seed) for seed in (1, 1, 2)]
    first, same, other = (layer.lora_A.detach() for layer in layers)
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert not layers[0].lora_B.any()
    theirs = torch.empty(32, 400)
    nn.init.kaiming_uniform_(theirs, a=5**0.5, generator=torch.Generator().manual_seed(0))
    assert float(first.abs().max()) <= 0.05 and float(theirs.abs().max()) <= 0.05
    assert float(first.std()) == pytest.approx(float(theirs.std()), rel=0.02)
    assert abs(float(first.mean())) < 0.001


def test_dropout_is_that_of_the_formula() -> None:
    """Gradients of the layer that keeps a mask, against autograd through x * mask / (1 - p)."""
    layer = wrapped(LoRAConfig(rank=4, alpha=6, dropout=0.25))
    x, grad = noise(6, 32, seed=6).requires_grad_(), noise(6, 24, seed=7)
    torch.manual_seed(11)
    out = layer(x)
    (out * grad).sum().backward()
    torch.manual_seed(11)
    mask, factor = kept_numbers(x, 0.25)
    assert factor == 1 / 0.75
    plain, down = x.detach().clone().requires_grad_(), layer.lora_A.detach().clone().requires_grad_()
    wanted = layer.base(plain) + 1.5 * F.linear(F.linear(plain * mask / 0.75, down), layer.lora_B.detach())
    (wanted * grad).sum().backward()
    torch.testing.assert_close(out, wanted)
    torch.testing.assert_close(x.grad, plain.grad)
    torch.testing.assert_close(layer.lora_A.grad, down.grad)
    assert not mask.all()
    assert torch.equal(layer.eval()(x), layer(x)), "no dropout in evaluation"


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_dropout_keeps_its_share_everywhere(share: float) -> None:
    """Of each of the four numbers that come of one draw, independently of its neighbour; means are kept."""
    torch.manual_seed(3)
    kept, factor = kept_numbers(torch.empty(1000, 403), share)
    flat = kept.flatten().float()
    for lane in range(4):
        assert float(flat[lane::4].mean()) == pytest.approx(1 - share, abs=0.005)
    both = float((flat[:-1] * flat[1:]).mean())
    assert both == pytest.approx((1 - share) ** 2, abs=0.005)
    assert float(flat.mean()) * factor == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize(("share", "most"), [(0.0, 0), (0.1, 1)])
def test_the_input_is_kept_once(share: float, most: int) -> None:
    """Three layers that read one x keep it once; dropout adds a byte a number for each, and nothing wide."""
    layers = [wrapped(LoRAConfig(rank=2, dropout=share)) for _ in range(3)]
    x = noise(64, 32).requires_grad_()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    parameters = {p.data_ptr() for layer in layers for p in layer.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        outs = [layer(x) for layer in layers]
    assert all(out.requires_grad for out in outs)
    size = sum(bytes_ for place, bytes_ in kept.items() if place not in parameters)
    wide, low = 64 * 32, 64 * 2 * 4
    assert size == 4 * wide + 3 * (most * wide + low)


@pytest.mark.parametrize("kind", ["plain", "int8", "int4"])
def test_only_the_factors_get_gradients(kind: LinearKind) -> None:
    layer = wrapped(kind=kind)
    x = noise(9, 32).requires_grad_()
    layer(x).square().sum().backward()
    trained = {name for name, p in layer.named_parameters() if p.grad is not None}
    assert trained == {"lora_A", "lora_B"} and x.grad is not None
    dense = layer.base.weight if kind == "plain" else layer.base.dense()
    whole = dense + layer.scale * layer.lora_B @ layer.lora_A
    torch.testing.assert_close(layer(x), F.linear(x, whole, layer.base.bias), rtol=1e-4, atol=1e-4)


def test_merging_rounds_once() -> None:
    base, up, down = noise(24, 32).bfloat16(), noise(24, 4, seed=1).bfloat16(), noise(4, 32, seed=2)
    wanted = (base.float() + 1.5 * (up.float() @ down)).bfloat16()
    assert torch.equal(added(base, up, down, 1.5), wanted)


def test_half_precision_computes_in_it_and_keeps_its_factors() -> None:
    layer = wrapped().bfloat16()
    layer.lora_A.data, layer.lora_B.data = layer.lora_A.data.float(), layer.lora_B.data.float()
    x = noise(9, 32).bfloat16().requires_grad_()
    layer(x).sum().backward()
    assert layer(x).dtype == torch.bfloat16 and layer.lora_A.grad.dtype == torch.float32


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_a_quantised_base_takes_no_factors(kind: LinearKind) -> None:
    with pytest.raises(ValueError, match="can't take LoRA factors.*frozen = 'stored'.*--adapter"):
        _ = wrapped(kind=kind).weight


def test_names() -> None:
    assert own_name("vision.layers.0.attn.qkv.base.bias") == "vision.layers.0.attn.qkv.bias"
    assert own_name("decoder.norm.weight") == "decoder.norm.weight"
    assert weight_of("decoder.layers.1.mlp.up_proj.lora_B") == "decoder.layers.1.mlp.up_proj.weight"
    assert weight_of("decoder.layers.1.mlp.up_proj.base.weight") == "decoder.layers.1.mlp.up_proj.weight"


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"alpha": -1}, {"dropout": 1.0}, {"alpha": float("nan")}])
def test_settings_that_mean_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        LoRAConfig(**wrong)
