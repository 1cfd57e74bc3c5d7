"""Layers in 8 and 4 bits: their error beside the plain layer, and gradients that pass through."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tessera.nn import quantised
from tessera.nn.codes import Codes, group_of, quantise_4bit
from tessera.nn.cpu.native import why_not
from tessera.nn.linear import LinearKind, make_linear
from tessera.nn.quantised import NORMAL_LEVELS, Int4Linear, QuantisedLinear

KINDS: tuple[LinearKind, ...] = ("int8", "int4")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def relative(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((got.double() - wanted.double()).norm() / wanted.double().norm())


def layer(kind: LinearKind, out: int = 48, inner: int = 128, bias: bool = True) -> QuantisedLinear:
    made = make_linear(kind, noise(out, inner), noise(out, seed=1) if bias else None)
    assert isinstance(made, QuantisedLinear)
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_result_and_gradient_are_those_of_the_dense_weight(
    kind: LinearKind, bias: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several slices, against autograd through F.linear with the weight as floats."""
    monkeypatch.setattr(quantised, "SLICE_BYTES", 128 * 4 * 7)
    made, x = layer(kind, bias=bias), noise(2, count, 128, seed=2).requires_grad_()
    plain = x.detach().clone().requires_grad_()
    weights = noise(2, count, 48, seed=3)
    out, wanted = made(x), F.linear(plain, made.dense(), made.bias)
    assert relative(out.detach(), wanted.detach()) < 1e-6
    (out * weights).sum().backward()
    (wanted * weights).sum().backward()
    assert x.grad is not None and plain.grad is not None
    assert relative(x.grad, plain.grad) < 1e-6
    assert not list(made.parameters())


def test_nothing_is_kept_for_the_way_back() -> None:
    kept: list[torch.Tensor] = []
    made, x = layer("int4"), noise(5, 128).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        made(x)
    assert not kept


@pytest.mark.parametrize(("kind", "least", "most"), [("int8", 0.003, 0.010), ("int4", 0.07, 0.11)])
def test_error_beside_the_plain_layer(kind: LinearKind, least: float, most: float) -> None:
    """A normal weight in int8 is off by 0.7 % of the result's norm, in 4 bits by 9 %."""
    weight, x = noise(256, 512, seed=4), noise(40, 512, seed=5)
    made = make_linear(kind, weight, None)
    assert least < relative(made(x), F.linear(x, weight)) < most


def test_four_bits_take_the_nearest_level() -> None:
    """Every weight against a search through all levels."""
    weight = noise(6, 128, seed=6)
    made = make_linear("int4", weight, None)
    assert isinstance(made, Int4Linear)
    scale = weight.view(6, 2, 64).abs().amax(2, keepdim=True)
    levels = torch.tensor(NORMAL_LEVELS)
    nearest = (weight.view(6, 2, 64, 1) / scale[..., None] - levels).abs().argmin(-1)
    assert torch.equal(made.dense(), (levels[nearest] * scale).view(6, 128))
    assert made.weight.numel() == weight.numel() // 2 and made.scale.numel() == weight.numel() // 64


def test_levels_beat_even_steps() -> None:
    """Why these levels: at equal size evenly spaced ones lose more of a normal weight."""
    weight = noise(64, 1024, seed=7)
    scale = weight.view(64, -1, 64).abs().amax(2, keepdim=True)
    even = ((weight.view(64, -1, 64) / scale * 7).round() * scale / 7).view_as(weight)
    made = make_linear("int4", weight, None)
    assert isinstance(made, Int4Linear)
    assert relative(made.dense(), weight) < 0.9 * relative(even, weight)


@pytest.mark.parametrize(("inner", "group"), [(1024, 64), (4304, 16), (34, 34), (94, 2)])
def test_groups_of_odd_widths(inner: int, group: int) -> None:
    assert group_of(inner) == group
    packed, scale, _ = quantise_4bit(noise(3, inner))
    assert packed.shape == (3, inner // 2) and scale.shape == (3, inner // group)


def test_a_row_of_odd_length() -> None:
    with pytest.raises(ValueError, match="int4: a row of 33 weights.*take int8"):
        make_linear("int4", noise(4, 33), None)


def test_bfloat16_stays_bfloat16() -> None:
    weight = noise(64, 128, seed=8)
    half = make_linear("int4", weight.bfloat16(), None)
    assert isinstance(half, Int4Linear) and half.scale.dtype == torch.bfloat16
    x = noise(9, 128, seed=9).bfloat16().requires_grad_()
    out = half(x)
    out.sum().backward()
    assert out.dtype == torch.bfloat16 and x.grad is not None and x.grad.dtype == torch.bfloat16
    assert relative(out.detach(), F.linear(x.detach().float(), half.dense())) < 0.01


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("group", [16, 64, 128])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_four_bits_with_zeros(group: int, count: int, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Number by number: (code - zero) * scale; in slices, through our kernel, and with a gradient."""
    monkeypatch.setattr(quantised, "SLICE_BYTES", 256 * 4 * 7)
    generator = torch.Generator().manual_seed(1)
    codes, zero = (
        torch.randint(0, 16, (48, size), generator=generator).byte() for size in (256, 256 // group)
    )
    scale = (torch.rand(48, 256 // group, generator=generator) + 0.5).bfloat16()
    wanted = (codes.double() - zero.double().repeat_interleave(group, 1)) * scale.double().repeat_interleave(
        group, 1
    )
    b = noise(48, seed=1).bfloat16() if bias else None
    packed = codes[:, ::2] * 16 + codes[:, 1::2]
    made = Codes(packed, scale, zero).linear(b)
    assert torch.equal(made.dense().double(), wanted) and made.dense().dtype == torch.float32
    x = noise(count, 256, seed=2).bfloat16()
    exact = x.double() @ wanted.T + (0 if b is None else b.double())
    assert relative(made(x), exact) < 1e-2
    with torch.inference_mode():
        assert relative(made(x), exact) < 1e-2
        if group % 64 == 0 and not why_not():
            assert relative(made._by_kernel(x), exact) < 1e-2, "whatever was measured to be faster"
        assert made.streamed(count) is None
    wide = Codes(packed, scale.float(), zero).linear(None)
    x = noise(count, 256, seed=2).requires_grad_()
    (wide(x) * noise(count, 48, seed=3)).sum().backward()
    assert x.grad is not None and relative(x.grad, noise(count, 48, seed=3).double() @ wanted) < 1e-6


@pytest.mark.parametrize("inner", [40, 44, 48])
def test_rows_of_any_length_in_int8(inner: int) -> None:
    """torch's int8 product reads behind a row that is no multiple of its vectors: wrong sums, or a crash."""
    made, x = make_linear("int8", noise(24, inner), None), noise(3, inner, seed=1)
    assert isinstance(made, QuantisedLinear)
    with torch.inference_mode():
        assert relative(made(x), F.linear(x, made.dense())) < 1e-5
