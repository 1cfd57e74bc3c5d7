"""Packed causal attention for training on short sequences, by plain matrix products.

On CPUs PyTorch's own attention takes three times as long in bfloat16, most of it backward. Here both passes
walk through the sequences with a few products each, and autograd sees one node.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch

from tessera.nn.layout import Packed

SHORT_SEQUENCE = 512
"""Up to here plain products beat SDPA's CPU backward pass; their scores take memory with the square of it."""


@dataclass(frozen=True)
class Span:
    """Where one sequence's queries and keys lie, and what to add to their scores `[queries, keys]`."""

    queries: slice
    keys: slice
    mask: torch.Tensor


def causal_spans(layout: Packed, like: torch.Tensor, rows: torch.Tensor | None = None) -> list[Span]:
    """The sequences of a stream; `rows` int64 `[R]`, ascending, when only these ask.

    Masks take dtype and device of `like`.
    """
    if rows is None:
        return [Span(slice(a, b), slice(a, b), hidden_future(b - a, like)) for a, b in layout.bounds]
    ends = torch.tensor([end for _, end in layout.bounds], device=rows.device)
    cuts = [0, *torch.searchsorted(rows, ends).tolist()]
    spans = []
    for (start, end), (first, last) in zip(layout.bounds, pairwise(cuts), strict=True):
        later = torch.arange(start, end, device=rows.device) > rows[first:last, None]
        mask = like.new_zeros(later.shape).masked_fill_(later, float("-inf"))
        spans.append(Span(slice(first, last), slice(start, end), mask))
    return spans


def short_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, spans: list[Span]
) -> torch.Tensor:
    """Attention within each span, which has at most SHORT_SEQUENCE keys.

    query `[R, H, C]`, key and value `[T, K, C]` with `H % K == 0`; returns `[R, H, C]`.
    """
    repeat = query.shape[1] // key.shape[1]
    if repeat > 1:
        key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
    out: torch.Tensor = _ShortAttention.apply(query, key, value, spans)
    return out


class _ShortAttention(torch.autograd.Function):
    """Streams `[T, H, C]`; their pieces are copied to `[H, L, C]` once and kept, beside the weights."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, spans: list[Span]
    ) -> torch.Tensor:
        out, kept = torch.empty_like(query), []
        for span in spans:
            q, k, v = _piece(query, span.queries), _piece(key, span.keys), _piece(value, span.keys)
            scores = torch.baddbmm(span.mask, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
            weights = scores.softmax(-1)
            out[span.queries] = torch.bmm(weights, v).transpose(0, 1)
            kept += [q, k, v, weights]
        ctx.save_for_backward(*kept)
        ctx.spans, ctx.tokens = spans, len(key)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,), kept = gradients, ctx.saved_tensors
        to_query = torch.empty_like(gradient)
        to_key, to_value = (gradient.new_empty(ctx.tokens, *gradient.shape[1:]) for _ in range(2))
        for number, span in enumerate(ctx.spans):
            q, k, v, weights = kept[4 * number : 4 * number + 4]
            g = _piece(gradient, span.queries)
            to_weights = torch.bmm(g, v.transpose(1, 2))
            to_scores = torch.ops.aten._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            to_scores *= q.shape[-1] ** -0.5
            to_query[span.queries] = torch.bmm(to_scores, k).transpose(0, 1)
            to_key[span.keys] = torch.bmm(to_scores.transpose(1, 2), q).transpose(0, 1)
            to_value[span.keys] = torch.bmm(weights.transpose(1, 2), g).transpose(0, 1)
        return to_query, to_key, to_value, None


def _piece(stream: torch.Tensor, part: slice) -> torch.Tensor:
    return stream[part].transpose(0, 1).contiguous()


def hidden_future(length: int, like: torch.Tensor) -> torch.Tensor:
    """[length, length] to add to scores: minus infinity right of the diagonal."""
    size = max(length, SHORT_SEQUENCE)
    return _future(size, like.dtype, like.device)[:length, :length]


@cache
def _future(size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.full((size, size), float("-inf"), dtype=dtype, device=device).triu(1)
