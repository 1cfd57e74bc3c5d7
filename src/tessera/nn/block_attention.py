"""Attention in bfloat16 on CPUs, without gradients: a block of scores at a time, by plain matrix products.

PyTorch's own attention takes twice as long there for a ViT's tile and 1.7 times for a prompt of 3,400 tokens.
Scores of one block stay in the cache; they are rounded to bfloat16 before the softmax, as in an eager model.
"""

from __future__ import annotations

from functools import cache

import torch

SCORE_ROWS = 1152
"""Rows of scores in one product: all of a tile's 1025 queries, or fewer queries of several heads."""

FEWEST_QUERIES = 64
"""Below, the blocks are too small to pay for their calls."""


def prefers_blocks(query: torch.Tensor, queries: int) -> bool:
    """Whether this way is the faster one for so many `queries` with tensors like `query`."""
    if query.dtype != torch.bfloat16 or query.device.type != "cpu" or queries < FEWEST_QUERIES:
        return False
    return not (query.requires_grad and torch.is_grad_enabled()) and _multiplies_bfloat16()


@cache
def _multiplies_bfloat16() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def block_attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, causal: bool
) -> torch.Tensor:
    """query `[Q, H, C]`, keys and values `[L, K, C]` with `H % K == 0`; returns `[Q, H, C]`.

    Causal means aligned at the last row: query i sees the first L - Q + i + 1 keys.
    """
    queries, heads, width = query.shape
    length, groups = keys.shape[:2]
    each = heads // groups  # query heads that share one head of keys
    block = max(1, SCORE_ROWS // each)
    future = _future(block, query) if causal else None
    space = query.new_empty(min(block, queries) * each * length)
    out = torch.empty_like(query)
    scaled = query * width**-0.5
    for group in range(groups):
        own = slice(group * each, (group + 1) * each)
        transposed, value = keys[:, group].t(), values[:, group].contiguous()
        for start in range(0, queries, block):
            rows = slice(start, min(start + block, queries))
            seen = length - queries + rows.stop if causal else length
            asked = scaled[rows, own].reshape(-1, width)  # [n * each, C]
            scores = space[: len(asked) * seen].view(len(asked), seen)
            torch.mm(asked, transposed[:, :seen], out=scores)
            if future is not None:
                count = rows.stop - start
                scores.view(count, each, seen)[..., seen - count :] += future[:count, None, :count]
            torch.softmax(scores, -1, out=scores)
            out[rows, own] = torch.mm(scores, value[:seen]).view(-1, each, width)
    return out


def _future(size: int, like: torch.Tensor) -> torch.Tensor:
    return torch.full((size, size), float("-inf"), dtype=like.dtype).triu(1)
