"""Attention on a CPU: SDPA once per sequence or per run of equally long ones, and the ways that beat it.

Four routes leave SDPA where it was measured slower. In bfloat16 the newest tokens of all sequences take a
kernel of our own where there is one; else a single query row (7 to 24 times) takes a grouped matrix product.
Short bfloat16 sequences in training (3 times) take plain products, and long ones in inference (twice) go
block by block. Each goes when a release of PyTorch is no slower there.
"""

from collections.abc import Callable
from itertools import groupby

import torch

from tessera.nn.attention.cpu.blocks import block_attention, prefers_blocks
from tessera.nn.attention.cpu.short import (
    prefers_products,
    product_attention,
    sequence_spans,
    short_attention,
)
from tessera.nn.attention.layout import Layout, Paged, Rows
from tessera.nn.attention.sdpa import sdpa
from tessera.nn.cpu.native import attend_newest, takes_pieces

Pair = tuple[torch.Tensor, torch.Tensor]
WIDEST_HEAD = 256
"""What our kernel reads."""


def cpu_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, rows: Rows = None
) -> torch.Tensor:
    """query `[T, H, C]`, or `[R, H, C]` of the given rows, key and value `[keys, K, C]`; as the query is."""
    short = prefers_products(query, max(layout.key_lengths))
    if short and layout.causal:
        return short_attention(query, key, value, sequence_spans(layout, query, rows))
    if rows is not None:
        spans = [span for span in sequence_spans(layout, query, rows) if len(span.mask)]
        out = [sdpa(query[each.queries], key[each.keys], value[each.keys], mask=each.mask) for each in spans]
        return torch.cat(out) if out else query
    if any(layout.contexts):
        asked = query.split(layout.lengths)
        past = zip(key.split(layout.key_lengths), value.split(layout.key_lengths), strict=True)
        return torch.cat([_newest(q, *pair) for q, pair in zip(asked, past, strict=True)])
    runs = [(length, len(list(run))) for length, run in groupby(layout.lengths)]
    sizes = [length * count for length, count in runs]
    # One split, not a slice per run: the gradient of a slice is a stream of zeros to add up.
    pieces = zip(query.split(sizes), key.split(sizes), value.split(sizes), runs, strict=True)
    out = [_equally_long(q, k, v, count, layout.causal) for q, k, v, (_, count) in pieces]
    return torch.cat(out) if len(out) > 1 else out[0]


def _equally_long(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, count: int, causal: bool
) -> torch.Tensor:
    length = len(query) // count
    if prefers_products(query, length):
        return product_attention(query, key, value, count, causal)
    if prefers_blocks(query, length):
        each = zip(query.split(length), key.split(length), value.split(length), strict=True)
        return torch.cat([block_attention(*one, causal) for one in each])
    return sdpa(query, key, value, count, causal)


def cached_cpu_attention(
    query: torch.Tensor, pools: Pair, layout: Paged, read: Callable[[Paged], list[Pair]]
) -> torch.Tensor:
    """query `[T, H, C]` against the sequences of a cache: `pools` of keys and values
    `[pages, page_size, K, C]`; `read` gives each sequence's own, `[context + new, K, C]`.
    """
    if not takes_pieces(query) or query.shape[-1] > WIDEST_HEAD or 1 not in layout.lengths:
        return _each(query, read(layout), layout)
    newest, rest, rows = layout.kept("parts", query.device, lambda: _parts(layout))
    if rest is None:
        return _all_newest(query, pools, newest)
    out = torch.empty_like(query)
    out[rows] = _all_newest(query[rows], pools, newest)
    out[~rows] = _each(query[~rows], read(rest), rest)
    return out


def _parts(layout: Paged) -> tuple[Paged, Paged | None, torch.Tensor]:
    """Sequences with one new token, the others, and which tokens of the stream are the former's."""
    alone = torch.tensor(layout.lengths) == 1
    newest, rest = (layout.part(which.nonzero().flatten().tolist()) for which in (alone, ~alone))
    assert newest is not None
    return newest, rest, alone.repeat_interleave(torch.tensor(layout.lengths))


def _all_newest(query: torch.Tensor, pools: Pair, layout: Paged) -> torch.Tensor:
    place = query.device
    table = layout.kept("table", place, lambda: layout.block_table(place))
    seen = layout.kept("seen", place, lambda: torch.tensor(layout.key_lengths, dtype=torch.int32))
    return attend_newest(query, *pools, table, seen)


def _each(query: torch.Tensor, past: list[Pair], layout: Paged) -> torch.Tensor:
    out = []
    for asked, (keys, values) in zip(query.split(layout.lengths), past, strict=True):
        out.append(_one_row(asked, keys, values) if len(asked) == 1 else _newest(asked, keys, values))
    return torch.cat(out) if len(out) > 1 else out[0]


def _newest(rows: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Several new rows `[q, H, C]` against `[context + q, K, C]`: causal, aligned at the last row."""
    new, total = len(rows), len(keys)
    if prefers_blocks(rows, new):
        return block_attention(rows, keys, values, causal=True)
    mask = torch.ones(new, total, dtype=torch.bool).tril(total - new) if total > new else None
    return sdpa(rows, keys, values, causal=mask is None, mask=mask)


def _one_row(row: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """One new row `[1, H, C]` against `[L, K, C]`, each group of query heads beside its key head.

    In float32: for so few rows that is faster than bfloat16, the conversion included.
    """
    kv_heads, head_dim = keys.shape[1:]
    grouped = row.view(kv_heads, -1, head_dim).float() * head_dim**-0.5  # [K, H/K, C]
    scores = torch.matmul(grouped, keys.float().permute(1, 2, 0))  # [K, H/K, L]
    return torch.matmul(scores.softmax(-1), values.float().transpose(0, 1)).to(row.dtype).view(row.shape)
