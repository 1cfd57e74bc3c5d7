"""Attention for training on short sequences in bfloat16, by plain matrix products.

PyTorch's own takes three times as long there, most of it backward. Packed causal sequences share one node of
autograd, whose two passes walk through them with a few products each. This goes when PyTorch's is as fast.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch

from tessera.nn.attention.layout import Layout, Rows
from tessera.nn.attention.sdpa import batched, repeat_heads

SHORT_SEQUENCE = 256
"""Up to here plain products beat blocks of scores, whose calls cost more; they keep all scores."""


@dataclass(frozen=True)
class Span:
    """Where one sequence's queries and keys lie, and what to add to their scores `[queries, keys]`."""

    queries: slice
    keys: slice
    mask: torch.Tensor


def prefers_products(query: torch.Tensor, length: int) -> bool:
    """Whether plain products are the faster way for sequences of at most so many tokens."""
    training = torch.is_grad_enabled() and query.requires_grad
    return training and query.dtype == torch.bfloat16 and length <= SHORT_SEQUENCE


def sequence_spans(layout: Layout, like: torch.Tensor, rows: Rows = None) -> list[Span]:
    """The sequences of a stream, which without `rows` is causal; masks take the dtype of `like`."""
    pasts = zip(layout.bounds, layout.key_bounds, layout.contexts, strict=True)
    if rows is None:
        return [
            Span(slice(a, b), slice(*keys), hidden_future(past + b - a, like.dtype)[past:])
            for (a, b), keys, past in pasts
        ]
    cuts = [0, *torch.searchsorted(rows, layout.ends(rows.device), right=True).tolist()]
    spans = []
    for ((start, _), keys, past), (first, last) in zip(pasts, pairwise(cuts), strict=True):
        own = rows[first:last, None] - start + past
        later = (torch.arange(keys[1] - keys[0]) > own) & layout.causal
        mask = like.new_zeros(later.shape).masked_fill_(later, float("-inf"))
        spans.append(Span(slice(first, last), slice(*keys), mask))
    return spans


def short_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, spans: list[Span]
) -> torch.Tensor:
    """Attention within each span, which has at most SHORT_SEQUENCE keys.

    query `[R, H, C]`, key and value `[keys, K, C]` with `H % K == 0`; returns `[R, H, C]`.
    """
    out: torch.Tensor = _ShortAttention.apply(query, *repeat_heads(query, key, value), spans)
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
        ctx.spans, ctx.keys = spans, len(key)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,), kept = gradients, ctx.saved_tensors
        to_query = torch.empty_like(gradient)
        to_key, to_value = (gradient.new_empty(ctx.keys, *gradient.shape[1:]) for _ in range(2))
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


def product_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, count: int, causal: bool
) -> torch.Tensor:
    """`count` equally long sequences, shaped as for `sdpa`; the backward pass is autograd's own."""
    q, k, v = (batched(x, count) for x in (query, *repeat_heads(query, key, value)))  # [count, H, L, C]
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
    if causal:
        scores = scores + hidden_future(q.shape[2], scores.dtype)
    return torch.matmul(scores.softmax(-1), v).transpose(1, 2).flatten(0, 1)


def hidden_future(length: int, dtype: torch.dtype) -> torch.Tensor:
    """[length, length] to add to scores: minus infinity right of the diagonal."""
    return _future(max(length, SHORT_SEQUENCE), dtype)[:length, :length]


@cache
def _future(size: int, dtype: torch.dtype) -> torch.Tensor:
    with torch.inference_mode(False):  # training may use what inference made first
        return torch.full((size, size), float("-inf"), dtype=dtype).triu(1)
