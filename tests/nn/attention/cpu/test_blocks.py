"""Attention by blocks of scores against SDPA in float64: ragged blocks, shared key heads, a past."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tessera.nn.attention.api import attend
from tessera.nn.attention.cpu import blocks
from tessera.nn.attention.cpu.blocks import block_attention, prefers_blocks
from tessera.nn.attention.layout import Packed


def drawn(queries: int, length: int, heads: int, groups: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((queries, heads, 16), (length, groups, 16), (length, groups, 16))
    return tuple(torch.randn(shape, generator=generator).bfloat16() for shape in shapes)


def oracle(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, causal: bool) -> torch.Tensor:
    q, k, v = (x.double().transpose(0, 1)[None] for x in (query, keys, values))
    new, total = len(query), len(keys)
    mask = torch.ones(new, total, dtype=torch.bool)
    mask = mask.tril(total - new) if causal else mask
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)[0].transpose(0, 1)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("queries, length", [(100, 100), (70, 93), (64, 64), (1, 30)])
@pytest.mark.parametrize("heads, groups", [(4, 4), (6, 2), (7, 1)])
@pytest.mark.parametrize("scores, block", [(2**20, 128), (2**12, 30), (1, 1)])
def test_blocks_are_attention(
    causal: bool,
    queries: int,
    length: int,
    heads: int,
    groups: int,
    scores: int,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "SCORES", scores)
    monkeypatch.setattr(blocks, "CAUSAL_QUERIES", block)
    streams = [x.requires_grad_() for x in drawn(queries, length, heads, groups)]
    got, wanted = block_attention(*streams, causal), oracle(*streams, causal)
    assert _apart(got, wanted) < 0.006  # bfloat16 scores; SDPA's own error is 0.003
    above = drawn(queries, length, heads, groups)[0]
    slopes = torch.autograd.grad(got, streams, above)
    for slope, exact in zip(slopes, torch.autograd.grad(wanted, streams, above.double()), strict=True):
        assert slope.dtype == torch.bfloat16
        assert _apart(slope, exact) < 0.015


def _apart(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(((got.double() - wanted).norm() / wanted.norm()).detach())


def test_only_long_bfloat16() -> None:
    half = torch.zeros(1, dtype=torch.bfloat16)
    able = torch.ops.mkldnn._is_mkldnn_bf16_supported() if torch.backends.mkldnn.is_available() else False
    assert prefers_blocks(half, 1000) == able
    assert not prefers_blocks(half, 4)
    assert not prefers_blocks(half.float(), 1000)


def test_equally_long_sequences_in_training_and_inference_agree() -> None:
    layout = Packed((130, 130))
    q, k, v = (x.repeat(2, 1, 1) for x in drawn(130, 130, 6, 2))
    with torch.no_grad():
        seen = attend(q, k, v, layout)
    trained = attend(q.clone().requires_grad_(), k, v, layout)
    assert trained.requires_grad and trained.shape == seen.shape
    exact = trained.detach().double()
    assert float((seen.double() - exact).norm() / exact.norm()) < 0.008
