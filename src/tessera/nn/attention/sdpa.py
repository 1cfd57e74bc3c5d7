"""Any layout on any device by one call of PyTorch's scaled dot-product attention.

Equally long sequences (tiles, a single prompt or its next token) are a batch without a mask. Everything else
is one masked call over the stream. It computes the hidden pairs, too, and its mask takes `T * keys` numbers:
the way of float32 on CUDA, of old cards and of layouts that no faster kernel knows.
"""

import torch
import torch.nn.functional as F

from tessera.nn.attention.layout import Layout, Packed, Paged, Rows

ALIGNED = 16
"""Numbers at which a mask's rows begin, so that the fused kernels read them where they are."""


def sdpa_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, rows: Rows = None
) -> torch.Tensor:
    """query `[T, H, C]`, or `[R, H, C]` of the given rows, key and value `[keys, K, C]`; as the query is."""
    shapes = set(zip(layout.lengths, layout.key_lengths, strict=True))
    if rows is None and isinstance(layout, Packed | Paged) and len(shapes) == 1:
        ((new, keys),) = shapes
        if new in (1, keys):  # PyTorch's causal rule is aligned at the first key: wrong behind a past
            return sdpa(query, key, value, len(layout.lengths), layout.causal and new > 1)
    bias = layout.kept(f"bias {query.dtype}", query.device, lambda: _bias(layout, query))
    return sdpa(query, key, value, mask=bias if rows is None else bias[rows])


def sdpa(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    count: int = 1,
    causal: bool = False,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """`count` equally long sequences: query `[count * Q, H, C]`, key and value `[count * L, K, C]`.

    `mask` is bool or float `[Q, L]`, as PyTorch has it.
    """
    q, k, v = (batched(x, count) for x in (query, key, value))
    grouped = query.shape[1] != key.shape[1]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped)
    return out.transpose(1, 2).flatten(0, 1)


def repeat_heads(query: torch.Tensor, *streams: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Keys and values `[L, K, C]` to `[L, H, C]`: a head for each of the query."""
    repeat = query.shape[1] // streams[0].shape[1]
    return streams if repeat == 1 else tuple(x.repeat_interleave(repeat, 1) for x in streams)


def batched(stream: torch.Tensor, count: int) -> torch.Tensor:
    """`[count * L, H, C]` to `[count, H, L, C]`."""
    return stream.unflatten(0, (count, -1)).transpose(1, 2)


def _bias(layout: Layout, like: torch.Tensor) -> torch.Tensor:
    """[T, keys] to add to scores. A bool mask would become one anew in every layer."""
    allowed = layout.allowed(like.device)
    queries, keys = allowed.shape
    wide = torch.full(
        (queries, -(-keys // ALIGNED) * ALIGNED), float("-inf"), dtype=like.dtype, device=like.device
    )
    return wide[:, :keys].masked_fill_(allowed, 0)
