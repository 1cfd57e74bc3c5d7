"""Packed and int8 layers against nn.Linear: same answers within bounds, no gradients by accident."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from tessera.nn import linear, quantised
from tessera.nn.codes import quantise
from tessera.nn.linear import PackedLinear, inference_head, linear_then, make_linear, scaled_linear
from tessera.nn.quantised import Int8Linear

FLOATS = [torch.float32, torch.bfloat16]
ROWS = [1, 3, 40]


def drawn(out: int = 96, inner: int = 64, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(out, inner, generator=generator) * torch.logspace(-3, 0, out)[:, None]
    return weight.to(dtype), torch.randn(out, generator=generator).to(dtype)


def rows(count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(count, 64, generator=torch.Generator().manual_seed(1)).to(dtype)


def relative(got: torch.Tensor, wanted: torch.Tensor) -> float:
    got, wanted = got.detach().double(), wanted.detach().double()
    return float((got - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("count", ROWS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("with_bias", [True, False])
def test_packed_is_the_plain_layer(count: int, dtype: torch.dtype, with_bias: bool) -> None:
    weight, bias = drawn(dtype=dtype)
    given = bias if with_bias else None
    plain, packed = make_linear("plain", weight, given), make_linear("packed", weight, given)
    assert isinstance(packed, PackedLinear)
    x = rows(count, dtype)
    bound = 1e-6 if dtype == torch.float32 else 4e-3
    with torch.inference_mode():
        assert relative(packed(x), plain(x)) < bound
        assert not packed.is_packed, "a layer that is used once is not laid out for it"
        assert relative(packed(x), plain(x)) < bound
        assert packed.is_packed == linear.can_pack(torch.device("cpu"), dtype)
        assert relative(packed(x[None])[0], plain(x)) < bound
        assert relative(linear_then(packed, x, "gelu"), F.gelu(plain(x).float())) < bound * 2
        assert relative(linear_then(packed, x, "silu"), F.silu(plain(x).float())) < bound * 2
    assert torch.equal(packed.weight, weight)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_large_weight_and_few_rows(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "LARGE", 0)
    weight, bias = drawn(dtype=torch.bfloat16)
    plain, packed = make_linear("plain", weight, bias), make_linear("packed", weight, bias)
    x = rows(count, torch.bfloat16)
    for given in (x, x[:, None]):
        got = packed(given)
        assert got.shape == plain(given).shape
        assert relative(got, plain(given)) < 4e-3


def test_packing_that_is_not_there_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, bias = drawn()
    monkeypatch.setattr(linear, "can_pack", lambda device, dtype: False)
    layer = make_linear("packed", weight, bias)
    assert isinstance(layer, PackedLinear) and not layer.is_packed
    assert torch.equal(layer(rows(3)), F.linear(rows(3), weight, bias))
    assert torch.equal(linear_then(layer, rows(3), "gelu"), F.gelu(F.linear(rows(3), weight, bias)))


def test_no_gradient_by_accident() -> None:
    layer = make_linear("packed", *drawn())
    assert not list(layer.parameters())
    with pytest.raises(ValueError, match="linears='plain'"):
        layer(rows(2).requires_grad_())
    with torch.no_grad():
        assert not layer(rows(2).requires_grad_()).requires_grad


def test_plain_trains() -> None:
    layer = make_linear("plain", *drawn())
    layer(rows(2)).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


@pytest.mark.parametrize("dtype", FLOATS)
def test_quantising_moves_no_weight_by_more_than_half_a_scale(dtype: torch.dtype) -> None:
    weight, _ = drawn(dtype=dtype)
    weight[3] = 0
    whole, scale, _ = quantise(weight)
    moved = (whole.double() * scale.double()[:, None] - weight.double()).abs()
    assert (moved <= 0.5001 * scale.double()[:, None]).all()
    assert whole.dtype == torch.int8 and int(whole.abs().max()) == 127
    assert not whole[3].any()


@pytest.mark.parametrize("count", ROWS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("with_bias", [True, False])
def test_int8_computes_with_its_own_weights(
    count: int, dtype: torch.dtype, with_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both routes, the second in many slices, against the dequantised weight in float64."""
    monkeypatch.setattr(quantised, "SLICE_BYTES", 64 * 10)
    weight, bias = drawn(dtype=dtype)
    layer = make_linear("int8", weight, bias if with_bias else None)
    assert isinstance(layer, Int8Linear)
    exact = layer.weight.double() * layer.scale.double()[:, None]
    wanted = F.linear(rows(count, dtype).double(), exact, bias.double() if with_bias else None)
    assert relative(layer(rows(count, dtype)), wanted) < (1e-6 if dtype == torch.float32 else 6e-3)
    assert layer(rows(count, dtype)[None]).shape == (1, count, 96)


def test_int8_error_beside_bfloat16s_own() -> None:
    """A normal weight in int8 is off by 0.7 % of the result's norm; bfloat16 itself by 0.2 to 0.3 %."""
    generator = torch.Generator().manual_seed(2)
    weight, x = torch.randn(256, 512, generator=generator), torch.randn(40, 512, generator=generator)
    wanted = F.linear(x.double(), weight.double())
    eight = make_linear("int8", weight.bfloat16(), None)(x.bfloat16())
    half = make_linear("plain", weight.bfloat16(), None)(x.bfloat16())
    assert 0.001 < relative(half, wanted) < 0.004
    assert 0.003 < relative(eight, wanted) < 0.010


@pytest.mark.parametrize("kind", ["packed", "int8", "int4"])
def test_moving_and_casting_a_model_keeps_the_layer(kind: linear.LinearKind) -> None:
    weight, bias = drawn()
    layer = make_linear(kind, weight, bias)
    before = layer(rows(40))
    assert torch.equal(layer.to("cpu")(rows(40)), before)
    with torch.inference_mode():
        half = copy.deepcopy(layer).to(torch.bfloat16)
        assert half(rows(40, torch.bfloat16)).dtype == torch.bfloat16
        assert relative(half(rows(40, torch.bfloat16)), before) < 0.01


def test_a_head_for_inference() -> None:
    """Tied to an embedding it stays one with it; few bits make it eight; float32 stays as it is."""
    weight, _ = drawn(dtype=torch.bfloat16)
    head = torch.nn.Linear(64, 96, bias=False, dtype=torch.bfloat16)
    embedding = torch.nn.Embedding(96, 64, _weight=weight)
    head.weight = embedding.weight
    x = rows(3, torch.bfloat16)
    with torch.inference_mode():
        same = inference_head(head, few_bits=False)
        assert isinstance(same, PackedLinear)
        for _ in range(3):
            assert torch.equal(same(x), head(x))
        assert same.weight.data_ptr() == weight.data_ptr() and not same.is_packed
        eight = inference_head(head, few_bits=True)
        assert isinstance(eight, Int8Linear) and relative(eight(x), head(x)) < 0.015
        assert torch.equal(embedding.weight, weight)
        wide = head.float()
        assert inference_head(wide, few_bits=True) is wide


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="linears = 'int2': choose one of plain, packed, int8, int4"):
        make_linear("int2", *drawn())  # type: ignore[arg-type]


@pytest.mark.parametrize("with_bias", [True, False])
def test_a_trained_scale_gets_its_gradient_from_the_weight_and_keeps_no_result(with_bias: bool) -> None:
    layer = torch.nn.Linear(6, 5, bias=with_bias, dtype=torch.float64)
    scale = torch.rand(5, dtype=torch.float64, requires_grad=True)
    x, towards = (torch.randn(3, 4, n, dtype=torch.float64, requires_grad=n == 6) for n in (6, 5))
    leaves = [x, scale, *layer.parameters()]
    expected = torch.autograd.grad((layer(x) * scale * towards).sum(), leaves)
    kept: list[torch.Size] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        out = scaled_linear(layer, x, scale)
    assert (3, 4, 5) not in kept
    assert (12, 5) not in kept
    found = torch.autograd.grad((out * towards).sum(), leaves)
    torch.testing.assert_close(found, expected)
    with torch.no_grad():
        torch.testing.assert_close(scaled_linear(layer, x, scale), layer(x) * scale)
        assert torch.equal(scaled_linear(layer, x, None), layer(x))
