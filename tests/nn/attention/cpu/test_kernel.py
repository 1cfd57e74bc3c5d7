"""A CPU's ways of training short sequences: gradients, and chosen rows against the whole."""

import pytest
import torch

from tessera.nn.attention.api import attend
from tessera.nn.attention.cpu.short import product_attention
from tessera.nn.attention.layout import Packed
from tessera.nn.attention.reference import reference_attention
from tessera.nn.attention.sdpa import sdpa


def _gradients(out: torch.Tensor, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(3))
    return torch.autograd.grad((out.float() * weight).sum(), inputs)


def test_plain_products_of_bfloat16_training_agree_with_sdpa() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(60, 4, 16, generator=generator).bfloat16() for _ in range(3))
    with torch.no_grad():
        expected = sdpa(query, key, value, 2, causal=True)
    trained = product_attention(query.requires_grad_(), key, value, 2, causal=True)
    torch.testing.assert_close(trained, expected, atol=2e-2, rtol=2e-2)


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
