"""Half precision on CUDA: PyTorch's variable-length flash attention, one call for all sequences.

Its causal rule is aligned at the last query and key of each sequence (stated in pytorch/pytorch#193630), so
that new tokens see their whole cached past. Keys of a paged cache come gathered into one stream. From torch
2.12 on the kernel could read them by block table, which was not tried.
"""

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any

import torch

from tessera.nn.attention.layout import Layout, Rows
from tessera.nn.attention.sdpa import repeat_heads

HALF = (torch.float16, torch.bfloat16)
WIDEST_HEAD = 256
HEAD_STEP = 8
FIRST_CAPABILITY = (8, 0)
"""What PyTorch's flash attention takes: dtypes, head width, its step, compute capability."""


def runs_varlen(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether the kernel exists for such tensors; the meta device stands for one that has it."""
    if device.type not in ("cuda", "meta") or dtype not in HALF:
        return False
    fits = head_dim <= WIDEST_HEAD and head_dim % HEAD_STEP == 0
    if device.type == "meta" or torch.version.hip is not None:
        return fits and device.type == "meta"
    return fits and torch.cuda.get_device_capability(device) >= FIRST_CAPABILITY


def varlen_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, rows: Rows = None
) -> torch.Tensor:
    """query `[T, H, C]`, or `[R, H, C]` of the given rows, key and value `[keys, K, C]`; as the query is."""
    if rows is not None:
        # The kernel's causal rule knows no gaps: all tokens ask. Only a model's last block gets rows.
        stream = query.new_zeros(layout.total, *query.shape[1:]).index_copy(0, rows, query)
        return varlen_attention(stream, key, value, layout).index_select(0, rows)
    call, options = _library(layout.causal)
    if "enable_gqa" not in options:
        key, value = repeat_heads(query, key, value)
    out: torch.Tensor = call(
        query,
        key,
        value,
        layout.cu_seqlens(query.device),
        layout.cu_seqlens_k(query.device),
        max(layout.lengths),
        max(layout.key_lengths),
        **options,
    )
    return out


@cache
def _library(causal: bool) -> tuple[Callable[..., Any], dict[str, object]]:
    """PyTorch's function and how this release spells its options."""
    from torch.nn.attention.varlen import varlen_attn  # registers operators: only where they are used

    known = signature(varlen_attn).parameters
    options: dict[str, object] = (
        {"window_size": (-1, 0 if causal else -1)} if "window_size" in known else {"is_causal": causal}
    )
    return varlen_attn, options | ({"enable_gqa": True} if "enable_gqa" in known else {})
