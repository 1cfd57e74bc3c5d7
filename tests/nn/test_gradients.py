"""The hand-written gradients against autograd's, and rows against the whole."""

import pytest
import torch
import torch.nn.functional as F

from tessera.nn.attention import attend, reference_attention
from tessera.nn.attention.layout import Packed
from tessera.nn.norm import RMSNorm
from tessera.nn.rope import rotary_tables, rotate


def _gradients(out: torch.Tensor, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(3))
    return torch.autograd.grad((out.float() * weight).sum(), inputs)


def test_rms_norm() -> None:
    norm = RMSNorm(12, eps=1e-3)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(2, 5, 12, requires_grad=True)
    plain = norm.weight * F.rms_norm(x, (12,), eps=1e-3)
    torch.testing.assert_close(norm(x), plain)
    inputs = [x, norm.weight]
    torch.testing.assert_close(_gradients(norm(x), inputs), _gradients(plain, inputs))
    with torch.no_grad():
        torch.testing.assert_close(norm(x), plain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert norm(x).dtype == torch.bfloat16


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_short_bfloat16_attention(kv_heads: int) -> None:
    layout = Packed((9, 1, 9, 30))
    generator = torch.Generator().manual_seed(1)
    exact = [torch.randn(layout.total, h, 8, generator=generator) for h in (4, kv_heads, kv_heads)]
    exact = [x.bfloat16().float().requires_grad_() for x in exact]
    rounded = [x.detach().bfloat16().requires_grad_() for x in exact]
    expected, got = reference_attention(*exact, layout), attend(*rounded, layout)
    torch.testing.assert_close(got.float(), expected, atol=2e-2, rtol=2e-2)
    pairs = zip(_gradients(expected, exact), _gradients(got, rounded), strict=True)
    for wanted, gradient in pairs:
        torch.testing.assert_close(gradient.float(), wanted, atol=4e-2, rtol=4e-2)


def test_rotation_by_complex_numbers() -> None:
    positions, theta = torch.tensor([0.0, 1.0, 2.5, 77.0]), 100.0
    x = torch.randn(4, 2, 6)
    turn = torch.polar(torch.ones(4, 3), positions[:, None] * theta ** (-torch.arange(3) / 3))
    expected = torch.complex(x[..., :3], x[..., 3:]) * turn[:, None]
    got = rotate(x, *rotary_tables(positions, 6, theta))
    torch.testing.assert_close(got, torch.cat((expected.real, expected.imag), dim=-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_chosen_rows_equal_those_of_the_whole(dtype: torch.dtype, kv_heads: int) -> None:
    """One sequence has no chosen row: its keys get a gradient of zero."""
    layout, rows = Packed((5, 3, 1, 7)), torch.tensor([0, 4, 8, 10, 11, 15])
    generator = torch.Generator().manual_seed(2)
    shapes = [(layout.total, heads, 8) for heads in (4, kv_heads, kv_heads)]
    streams = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    query, key, value = (x.requires_grad_() for x in streams)
    expected = attend(query, key, value, layout)[rows]
    got = attend(query[rows], key, value, layout, rows=rows)
    rough = 3e-2 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(got, expected, atol=rough, rtol=rough)
    gradients = _gradients(got, streams)
    torch.testing.assert_close(gradients, _gradients(expected, streams), atol=rough, rtol=rough)
    assert not gradients[1][5:8].any()
