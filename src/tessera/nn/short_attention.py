"""Packed causal attention for training on short sequences, by plain matrix products.

On CPUs PyTorch's own attention takes three times as long in bfloat16, most of it backward. Here both passes
walk through the sequences with a few products each, and autograd sees one node.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from tessera.nn.layout import Packed

SHORT_SEQUENCE = 512
"""Up to here plain products beat SDPA's CPU backward pass; their scores take memory with the square of it."""


def short_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Packed
) -> torch.Tensor:
    """Causal attention within each sequence of at most SHORT_SEQUENCE tokens.

    query `[T, H, C]`, key and value `[T, K, C]` with `H % K == 0`; returns `[T, H, C]`.
    """
    repeat = query.shape[1] // key.shape[1]
    if repeat > 1:
        key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
    out: torch.Tensor = _ShortAttention.apply(query, key, value, layout)
    return out


class _ShortAttention(torch.autograd.Function):
    """Streams `[T, H, C]`; their pieces are copied to `[H, L, C]` once and kept, beside the weights."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Packed
    ) -> torch.Tensor:
        out, kept = torch.empty_like(query), []
        for start, end in layout.bounds:
            q, k, v = (_piece(x, start, end) for x in (query, key, value))
            mask = hidden_future(end - start, q)
            weights = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5).softmax(-1)
            out[start:end] = torch.bmm(weights, v).transpose(0, 1)
            kept += [q, k, v, weights]
        ctx.save_for_backward(*kept)
        ctx.layout = layout
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,), kept = gradients, ctx.saved_tensors
        to_query, to_key, to_value = (torch.empty_like(gradient) for _ in range(3))
        for number, (start, end) in enumerate(ctx.layout.bounds):
            q, k, v, weights = kept[4 * number : 4 * number + 4]
            g = _piece(gradient, start, end)
            to_weights = torch.bmm(g, v.transpose(1, 2))
            to_scores = torch.ops.aten._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            to_scores *= q.shape[-1] ** -0.5
            to_query[start:end] = torch.bmm(to_scores, k).transpose(0, 1)
            to_key[start:end] = torch.bmm(to_scores.transpose(1, 2), q).transpose(0, 1)
            to_value[start:end] = torch.bmm(weights.transpose(1, 2), g).transpose(0, 1)
        return to_query, to_key, to_value, None


def _piece(stream: torch.Tensor, start: int, end: int) -> torch.Tensor:
    return stream[start:end].transpose(0, 1).contiguous()


def hidden_future(length: int, like: torch.Tensor) -> torch.Tensor:
    """[length, length] to add to scores: minus infinity right of the diagonal."""
    size = max(length, SHORT_SEQUENCE)
    return _future(size, like.dtype, like.device)[:length, :length]


@cache
def _future(size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.full((size, size), float("-inf"), dtype=dtype, device=device).triu(1)
