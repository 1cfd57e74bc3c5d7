"""The slow oracle: one explicit mask over the whole stream."""

import torch

from tessera.nn.attention.layout import Layout, Rows, places
from tessera.nn.attention.limited import UNRESTRICTED, Restriction
from tessera.nn.attention.sdpa import repeat_heads


def reference_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    rows: Rows = None,
    limits: Restriction = UNRESTRICTED,
) -> torch.Tensor:
    """query `[T, H, C]`, or `[R, H, C]` of the given rows, key and value `[keys, K, C]`; as the query is."""
    allowed = layout.allowed(query.device)
    if limits.window is not None:
        _, place = places(layout.lengths, layout.contexts, query.device)
        _, key_place = places(layout.key_lengths, (0,) * len(layout.lengths), query.device)
        allowed = allowed & (place[:, None] - key_place < limits.window)
    allowed = allowed if rows is None else allowed[rows]
    key, value = repeat_heads(query, key, value)
    scores = torch.einsum("qhc,khc->hqk", query, key) * query.shape[-1] ** -0.5
    scores = scores.masked_fill(~allowed, float("-inf"))
    if limits.sinks is not None:  # one more key of that score, whose value is nothing
        sinks = limits.sinks.to(scores.dtype)[:, None, None].expand(-1, len(query), 1)
        scores = torch.cat((scores, sinks), -1)
        value = torch.cat((value, value.new_zeros(1, *value.shape[1:])))
    return torch.einsum("hqk,khc->qhc", scores.softmax(-1), value)
