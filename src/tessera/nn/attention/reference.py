"""The slow oracle: one explicit mask over the whole stream."""

import torch

from tessera.nn.attention.layout import Layout, Rows
from tessera.nn.attention.sdpa import repeat_heads


def reference_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, rows: Rows = None
) -> torch.Tensor:
    """query `[T, H, C]`, or `[R, H, C]` of the given rows, key and value `[keys, K, C]`; as the query is."""
    allowed = layout.allowed(query.device)
    allowed = allowed if rows is None else allowed[rows]
    key, value = repeat_heads(query, key, value)
    scores = torch.einsum("qhc,khc->hqk", query, key) * query.shape[-1] ** -0.5
    weights = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
    return torch.einsum("hqk,khc->qhc", weights, value)
