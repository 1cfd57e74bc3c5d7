"""Attention in bfloat16 on CPUs, without gradients: a block of scores at a time, by plain matrix products.

PyTorch's own attention takes twice as long there for a ViT's tile and 1.7 times for a prompt of 3,400 tokens.
Scores of one block stay in the cache; they are rounded to bfloat16 before the softmax, as in an eager model.
This goes when PyTorch's is as fast.
"""

import torch

from tessera.nn.attention.cpu.short import hidden_future
from tessera.nn.cpu import multiplies_bfloat16

SCORES = 6 * 2**20
"""Scores in one product, which stay in the cache: those of four heads of a tile."""

CAUSAL_QUERIES = 256
"""Queries in one block of a prompt; those of a tile are taken at once. Few calls matter: every one waits for
all threads, which costs milliseconds where other processes hold a core."""

FEWEST_QUERIES = 64
"""Below, the blocks are too small to pay for their calls."""


def prefers_blocks(query: torch.Tensor, queries: int) -> bool:
    """Whether this way is the faster one for so many `queries` with tensors like `query`."""
    training = torch.is_grad_enabled() and query.requires_grad
    suits = query.dtype == torch.bfloat16 and queries >= FEWEST_QUERIES
    return suits and not training and multiplies_bfloat16()


def block_attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, causal: bool
) -> torch.Tensor:
    """query `[Q, H, C]`, keys and values `[L, K, C]` with `H % K == 0`; returns `[Q, H, C]`.

    Causal means aligned at the last row: query i sees the first L - Q + i + 1 keys.
    """
    (queries, heads, width), (length, groups) = query.shape, keys.shape[:2]
    scaled = (query * width**-0.5).unflatten(1, (groups, -1)).transpose(0, 1).contiguous()  # [K, Q, H/K, C]
    ahead, behind = (x.transpose(0, 1).contiguous() for x in (keys, values))  # [K, L, C]
    block = min(CAUSAL_QUERIES, queries) if causal else queries
    most = max(1, SCORES // (block * heads // groups * length))
    together = -(-groups // -(-groups // most))  # key heads in one product, evenly
    future = hidden_future(block, query.dtype) if causal else None
    space = query.new_empty(together * block * heads // groups * length)
    out = torch.empty_like(scaled)
    for first in range(0, groups, together):
        own = slice(first, first + together)
        for start in range(0, queries, block):
            rows = slice(start, min(start + block, queries))
            seen = length - queries + rows.stop if causal else length
            asked = scaled[own, rows].flatten(1, 2)  # [k, n * H/K, C]
            scores = space[: asked.shape[0] * asked.shape[1] * seen].view(*asked.shape[:2], seen)
            torch.bmm(asked, ahead[own, :seen].transpose(1, 2), out=scores)
            if future is not None:
                count = rows.stop - start
                newest = scores.view(len(asked), count, -1, seen)[..., seen - count :]
                newest += future[:count, None, :count]
            torch.softmax(scores, -1, out=scores)
            out[own, rows] = torch.bmm(scores, behind[own, :seen]).view(len(asked), -1, *scaled.shape[2:])
    return out.transpose(0, 1).reshape(query.shape)
