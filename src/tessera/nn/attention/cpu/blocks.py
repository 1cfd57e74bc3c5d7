"""Attention in bfloat16 on CPUs: a block of scores at a time, by plain matrix products.

PyTorch's own attention takes twice as long there for a ViT's tile and 1.7 times for a prompt of 3,400 tokens.
Scores of one block stay in the cache; they are rounded to bfloat16 before the softmax, as in an eager model.
The backward pass computes them again, so that training keeps queries, keys and values alone.
This goes when PyTorch's is as fast.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from tessera.nn.attention.cpu.short import hidden_future
from tessera.nn.cpu.operators import multiplies_bfloat16

SCORES = 6 * 2**20
"""Scores in one product, which stay in the cache: those of four heads of a tile."""

CAUSAL_QUERIES = 256
"""Queries in one block of a prompt; those of a tile are taken at once. Few calls matter: every one waits for
all threads, which costs milliseconds where other processes hold a core."""

FEWEST_QUERIES = 64
"""Below, the blocks are too small to pay for their calls."""


def prefers_blocks(query: torch.Tensor, queries: int) -> bool:
    """Whether this way is the faster one for so many `queries` with tensors like `query`."""
    return query.dtype == torch.bfloat16 and queries >= FEWEST_QUERIES and multiplies_bfloat16()


def block_attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, causal: bool
) -> torch.Tensor:
    """query `[Q, H, C]`, keys and values `[L, K, C]` with `H % K == 0`; returns `[Q, H, C]`.

    Causal means aligned at the last row: query i sees the first L - Q + i + 1 keys.
    """
    out: torch.Tensor = _BlockAttention.apply(query, keys, values, causal)
    return out


class _BlockAttention(torch.autograd.Function):
    """Streams of one sequence; the key heads of a block are batches of products, their queries its rows."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, causal: bool
    ) -> torch.Tensor:
        ctx.save_for_backward(query, keys, values)
        ctx.causal = causal
        scaled, ahead, behind = _by_groups(query, keys, values)
        out = torch.empty_like(scaled)
        cuts = _Cuts(scaled, ahead, causal)
        for cut in cuts:
            weights = cuts.weights(cut)
            out[cut.own, cut.rows] = cut.queries(torch.bmm(weights, behind[cut.own, : cut.seen]), scaled)
        return out.transpose(0, 1).reshape(query.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, keys, values = ctx.saved_tensors
        scaled, ahead, behind = _by_groups(query, keys, values)
        above = gradients[0].unflatten(1, (keys.shape[1], -1)).transpose(0, 1).contiguous()  # [K, Q, H/K, C]
        cuts = _Cuts(scaled, ahead, ctx.causal, spaces=3)
        to_query = torch.empty_like(scaled)
        # Several blocks add up here, so in float32.
        to_keys, to_values = (torch.zeros_like(ahead, dtype=torch.float32) for _ in range(2))
        for cut in cuts:
            weights, gradient = cuts.weights(cut), above[cut.own, cut.rows].flatten(1, 2)
            seen = (cut.own, slice(cut.seen))
            to_values[seen] += torch.bmm(weights.transpose(1, 2), gradient)
            to_weights = torch.bmm(gradient, behind[seen].transpose(1, 2), out=cuts.space(cut, 1))
            to_scores = torch.ops.aten._softmax_backward_data(
                to_weights, weights, -1, weights.dtype, grad_input=cuts.space(cut, 2)
            )
            to_query[cut.own, cut.rows] = cut.queries(torch.bmm(to_scores, ahead[seen]), scaled)
            to_keys[seen] += torch.bmm(to_scores.transpose(1, 2), cuts.asked(cut))
        to_query = to_query.mul_(query.shape[-1] ** -0.5).transpose(0, 1).reshape(query.shape)
        towards = (
            x.transpose(0, 1).to(query.dtype, memory_format=torch.contiguous_format)
            for x in (to_keys, to_values)
        )
        return to_query, *towards, None


@dataclass(frozen=True)
class _Cut:
    """Some key heads, some query rows of theirs, and how many keys these see."""

    own: slice
    rows: slice
    seen: int

    def queries(self, product: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """[k, n * H/K, C] as [k, n, H/K, C]."""
        return product.view(len(product), -1, *like.shape[2:])


class _Cuts:
    """A sequence in blocks whose scores fit into the cache."""

    def __init__(self, scaled: torch.Tensor, ahead: torch.Tensor, causal: bool, spaces: int = 1) -> None:
        self._scaled, self._ahead = scaled, ahead
        (groups, queries, heads), length = scaled.shape[:3], ahead.shape[1]
        self._block = min(CAUSAL_QUERIES, queries) if causal else queries
        most = max(1, SCORES // (self._block * heads * length))
        self._together = -(-groups // -(-groups // most))  # key heads in one product, evenly
        self._future = hidden_future(self._block, scaled.dtype) if causal else None
        most = self._together * self._block * heads * length
        self._spaces = [scaled.new_empty(most) for _ in range(spaces)]

    def __iter__(self) -> Iterator[_Cut]:
        (groups, queries), length = self._scaled.shape[:2], self._ahead.shape[1]
        for first in range(0, groups, self._together):
            for start in range(0, queries, self._block):
                stop = min(start + self._block, queries)
                seen = length if self._future is None else length - queries + stop
                yield _Cut(slice(first, first + self._together), slice(start, stop), seen)

    def asked(self, cut: _Cut) -> torch.Tensor:
        """The block's queries [k, n * H/K, C]."""
        return self._scaled[cut.own, cut.rows].flatten(1, 2)

    def space(self, cut: _Cut, number: int) -> torch.Tensor:
        """Room for the block's scores [k, n * H/K, seen], the same for all blocks: it stays in the cache."""
        heads, rows = self._scaled.shape[2], cut.rows.stop - cut.rows.start
        keys = len(range(len(self._scaled))[cut.own])
        return self._spaces[number][: keys * rows * heads * cut.seen].view(keys, rows * heads, cut.seen)

    def weights(self, cut: _Cut) -> torch.Tensor:
        """The block's weights of attention [k, n * H/K, seen]."""
        asked = self.asked(cut)
        keys = self._ahead[cut.own, : cut.seen].transpose(1, 2)
        scores = torch.bmm(asked, keys, out=self.space(cut, 0))
        if self._future is not None:
            count = cut.rows.stop - cut.rows.start
            newest = scores.view(len(asked), count, -1, cut.seen)[..., cut.seen - count :]
            newest += self._future[:count, None, :count]
        return torch.softmax(scores, -1, out=scores)


def _by_groups(query: torch.Tensor, *streams: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Scaled queries [K, Q, H/K, C]; keys and values [K, L, C]."""
    groups = streams[0].shape[1]
    scaled = (query * query.shape[-1] ** -0.5).unflatten(1, (groups, -1)).transpose(0, 1).contiguous()
    return scaled, *(x.transpose(0, 1).contiguous() for x in streams)
