"""Attention of layers with a window or with sinks, for every layout: plain products, a block of queries at a
time, a sequence after the other (GPT-OSS, docs/facts/moe.md).

PyTorch's fused kernels know no sinks, and our own read no window: neither is asked here. Queries of a block
meet the keys alone that one of them may see. The backward pass of a stream of several blocks computes their
scores again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.checkpoint import checkpoint

from tessera.nn.attention.layout import Branched, Layout, Packed, Paged, Rows

Pair = tuple[torch.Tensor, torch.Tensor]
QUERIES = 256
SCORES = 2**24
"""Queries and scores of one block at most: 64 MB in float32."""


@dataclass(frozen=True)
class Restriction:
    """What a layer does to causal attention.

    window: a token sees itself and so many tokens less one before it; None all of them. sinks [H]: a score
    that every token gives to nothing, beside those of its keys; None for none.
    """

    window: int | None = None
    sinks: torch.Tensor | None = None

    @property
    def none(self) -> bool:
        """Whether attention is as it always is."""
        return self.window is None and self.sinks is None


UNRESTRICTED = Restriction()


def limited_attention(
    query: torch.Tensor, past: Sequence[Pair], layout: Layout, limits: Restriction, rows: Rows = None
) -> torch.Tensor:
    """query `[T, H, C]`, or `[R, H, C]` of the given rows; `past`: keys and values `[context + new, K, C]` of
    each sequence; as the query is. ValueError for a layout of another kind, or one that is not causal."""
    if not isinstance(layout, Packed | Branched | Paged):
        raise ValueError(f"layout: {type(layout).__name__} of a layer with a window or sinks; take another")
    if not layout.causal:
        raise ValueError("causal = False: windows and sinks are those of causal layers")
    out = []
    for asked, places, (keys, values) in _sequences(query, past, layout, rows):
        most = max(1, min(QUERIES, SCORES // max(1, query.shape[1] * len(keys))))
        blocks = list(zip(asked.split(most), places.split(most), strict=True))
        again = len(blocks) > 1 and torch.is_grad_enabled() and query.requires_grad
        for block, where in blocks:
            first, last = _reach(where, limits.window)
            given = (block, where - first, keys[first : last + 1], values[first : last + 1], limits)
            out.append(
                checkpoint(_block, *given, use_reentrant=False, preserve_rng_state=False)
                if again
                else _block(*given)
            )
    return torch.cat(out) if out else query


def _reach(where: torch.Tensor, window: int | None) -> tuple[int, int]:
    """First and last key that one of the places int64 [n], ascending, may see; they lie on the CPU."""
    first = 0 if window is None else max(0, int(where[0]) - window + 1)
    return first, int(where[-1])


def _sequences(
    query: torch.Tensor, past: Sequence[Pair], layout: Layout, rows: Rows
) -> Iterator[tuple[torch.Tensor, torch.Tensor, Pair]]:
    """Of each sequence that asks: queries, their places in it (on the CPU), keys and values."""
    ordered = None if rows is None else rows.cpu()
    done = 0
    for (start, stop), context, pair in zip(layout.bounds, layout.contexts, past, strict=True):
        own = torch.arange(start, stop)
        if ordered is not None:
            own = ordered[(ordered >= start) & (ordered < stop)]
        if len(own):
            yield query[done : done + len(own)], own - start + context, pair
        done += len(own)


def _block(
    query: torch.Tensor, places: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, limits: Restriction
) -> torch.Tensor:
    """query `[n, H, C]` at places int64 [n] among keys and values `[L, K, C]`; weights in float32."""
    groups = keys.shape[1]
    asked = query.unflatten(1, (groups, -1)).permute(1, 2, 0, 3)  # [K, H/K, n, C]
    scores = torch.matmul(asked, keys.permute(1, 2, 0)[:, None]).float() * query.shape[-1] ** -0.5
    scores = scores.masked_fill(_hidden(places, len(keys), limits.window).to(query.device), float("-inf"))
    if limits.sinks is None:
        weights = scores.softmax(-1)
    else:
        sinks = limits.sinks.float().view(groups, -1, 1, 1).expand(*scores.shape[:3], 1)
        weights = torch.cat((scores, sinks), -1).softmax(-1)[..., :-1]
    out = torch.matmul(weights.to(values.dtype), values.transpose(0, 1)[:, None])  # [K, H/K, n, C]
    return out.permute(2, 0, 1, 3).flatten(1, 2)


def _hidden(places: torch.Tensor, keys: int, window: int | None) -> torch.Tensor:
    """bool [n, keys]: which keys a place does not see."""
    back = places[:, None] - torch.arange(keys)
    return (back < 0) if window is None else (back < 0) | (back >= window)
