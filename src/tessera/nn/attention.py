"""One attention function for training packs, prefill and decoding.

The backend is PyTorch's scaled dot-product attention called once per sequence, which runs everywhere
and never builds a mask over the whole stream. Runs of equally long sequences go in one call. Three routes
leave it on CPUs, where it was measured slower: a single query row (7 to 24 times in bfloat16) takes a
grouped matrix product, short bfloat16 sequences in training (3 times) take plain products, and long ones in
inference (twice) go block by block.
"""

from __future__ import annotations

from itertools import groupby

import torch
import torch.nn.functional as F

from tessera.nn.block_attention import block_attention, prefers_blocks
from tessera.nn.kv_cache import KVCache
from tessera.nn.layout import Layout, Packed
from tessera.nn.short_attention import SHORT_SEQUENCE, causal_spans, hidden_future, short_attention


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    cache: KVCache | None = None,
    layer: int = 0,
    rows: torch.Tensor | None = None,
) -> torch.Tensor:
    """Causal attention within each sequence of the stream.

    query `[T, H, C]`, key and value `[T, K, C]` with `H % K == 0`; returns `[T, H, C]`. A `Paged` layout
    needs a cache, to which the new keys and values of `layer` are appended. With `rows` int64 `[R]`, which
    are ascending places in a `Packed` stream or the last place of each sequence of a `Paged` one, query and
    result hold these alone, `[R, H, C]`.
    """
    if isinstance(layout, Packed) and rows is not None:
        return _attend_rows(query, key, value, layout, rows)
    if isinstance(layout, Packed):
        return _attend_packed(query, key, value, layout)
    if cache is None:
        raise ValueError("cache = None: a Paged layout continues cached sequences; pass the KVCache")
    past = cache.extend(layer, key, value, layout)
    counts = layout.query_lengths if rows is None else (1,) * len(rows)
    out = []
    for asked, (keys, values) in zip(query.split(counts), past, strict=True):
        out.append(_one_row(asked[0], keys, values)[None] if len(asked) == 1 else _rows(asked, keys, values))
    return torch.cat(out) if len(out) > 1 else out[0]


def _attend_packed(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Packed
) -> torch.Tensor:
    if _prefers_products(query) and max(layout.lengths) <= SHORT_SEQUENCE:
        return short_attention(query, key, value, causal_spans(layout, query))
    runs = [(length, len(list(run))) for length, run in groupby(layout.lengths)]
    sizes = [length * count for length, count in runs]
    # One split, not a slice per run: the gradient of a slice is a stream of zeros to add up.
    pieces = zip(query.split(sizes), key.split(sizes), value.split(sizes), strict=True)
    out = []
    for (length, count), piece in zip(runs, pieces, strict=True):
        q, k, v = (x.unflatten(0, (count, length)).transpose(1, 2) for x in piece)
        result = dense_attention(q, k, v, causal=True)  # [count, H, length, C]
        out.append(result.transpose(1, 2).flatten(0, 1))
    return torch.cat(out)


def _attend_rows(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Packed, rows: torch.Tensor
) -> torch.Tensor:
    spans = causal_spans(layout, query, rows)
    if _prefers_products(query) and max(layout.lengths) <= SHORT_SEQUENCE:
        return short_attention(query, key, value, spans)
    grouped, out = query.shape[1] != key.shape[1], []
    for span in spans:
        if len(span.mask):
            pieces = (query[span.queries], key[span.keys], value[span.keys])
            q, k, v = (x.transpose(0, 1)[None] for x in pieces)
            result = F.scaled_dot_product_attention(q, k, v, attn_mask=span.mask, enable_gqa=grouped)
            out.append(result[0].transpose(0, 1))
    return torch.cat(out) if out else query


def dense_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool
) -> torch.Tensor:
    """Equally long sequences: query `[B, H, L, C]`, key and value `[B, K, L, C]` to `[B, H, L, C]`."""
    grouped = query.shape[1] != key.shape[1]
    if _prefers_products(query) and query.shape[2] <= SHORT_SEQUENCE:
        return _plain_products(query, key, value, causal)
    if prefers_blocks(query, query.shape[2]):
        rows = (piece.transpose(1, 2) for piece in (query, key, value))
        return torch.stack(
            [block_attention(q, k, v, causal) for q, k, v in zip(*rows, strict=True)]
        ).transpose(1, 2)
    return F.scaled_dot_product_attention(query, key, value, is_causal=causal, enable_gqa=grouped)


def _prefers_products(query: torch.Tensor) -> bool:
    """bfloat16 training on a CPU, where SDPA's backward pass is slow."""
    training = torch.is_grad_enabled() and query.requires_grad
    return training and query.device.type == "cpu" and query.dtype == torch.bfloat16


def _plain_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool
) -> torch.Tensor:
    repeat = query.shape[1] // key.shape[1]
    if repeat > 1:
        key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    if causal:
        scores = scores + hidden_future(query.shape[2], scores)
    return torch.matmul(scores.softmax(-1), value)


def _rows(rows: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Several new rows `[q, H, C]` against `[context + q, K, C]`: causal, aligned at the last row."""
    new, total = len(rows), len(keys)
    if prefers_blocks(rows, new):
        return block_attention(rows, keys, values, causal=True)
    mask = None
    if total > new:
        mask = torch.ones(new, total, dtype=torch.bool, device=rows.device).tril(total - new)
    result = F.scaled_dot_product_attention(
        rows.transpose(0, 1)[None],
        keys.transpose(0, 1)[None],
        values.transpose(0, 1)[None],
        attn_mask=mask,
        is_causal=mask is None,
        enable_gqa=rows.shape[1] != keys.shape[1],
    )
    return result[0].transpose(0, 1)


def _one_row(row: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """One new row `[H, C]` against `[L, K, C]`, each group of query heads beside its key head.

    CPUs compute it in float32: for so few rows that is faster than bfloat16, the conversion included.
    """
    kv_heads, head_dim = keys.shape[1:]
    dtype = torch.float32 if row.device.type == "cpu" else row.dtype
    grouped = row.view(kv_heads, -1, head_dim).to(dtype) * head_dim**-0.5  # [K, H/K, C]
    scores = torch.matmul(grouped, keys.to(dtype).permute(1, 2, 0))  # [K, H/K, L]
    weights = scores.float().softmax(-1).to(dtype)
    return torch.matmul(weights, values.to(dtype).transpose(0, 1)).to(row.dtype).view(row.shape)


def reference_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Packed
) -> torch.Tensor:
    """The slow oracle: one explicit mask over the whole stream. Shapes as in `attend`."""
    owner = torch.repeat_interleave(torch.arange(len(layout.lengths)), torch.tensor(layout.lengths))
    order = torch.arange(layout.total)
    allowed = (owner[:, None] == owner[None, :]) & (order[:, None] >= order[None, :])
    repeat = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
    scores = torch.einsum("qhc,khc->hqk", query, key) * query.shape[-1] ** -0.5
    weights = scores.masked_fill(~allowed.to(scores.device), float("-inf")).softmax(-1)
    return torch.einsum("hqk,khc->qhc", weights, value)
