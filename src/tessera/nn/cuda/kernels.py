"""Kernels for the newest tokens of sequences, as functions of tensors; `programs` are what they start.

By hand, because cuBLAS reads weights for one row at half to three quarters of an H200's memory speed, and
PyTorch 2.11's attention reads no cache by block table. They round where the modules that they stand for do,
and go when PyTorch's own are as fast.
"""

from typing import Any

import torch
import triton

from tessera.nn.cuda import programs

FEW = 4
"""Rows up to which products stream through our own kernel; for more cuBLAS is as fast."""
SPLITS_IN_ALL = 264
"""Pieces of attention that run at a time: two for each multiprocessor of a large device."""
TOKENS_AT_ONCE = 64


def normed(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """RMS norm of x [B, D], as `nn.norm.RMSNorm`."""
    out = torch.empty_like(x)
    width = x.shape[1]
    programs.norm[(len(x),)](x, weight, out, width, eps, BLOCK=triton.next_power_of_2(width), num_warps=8)
    return out


def gated(x: torch.Tensor) -> torch.Tensor:
    """silu of the first half of x [B, 2 I], times the second, [B, I]."""
    out = x.new_empty(len(x), x.shape[1] // 2)
    inner = out.shape[1]
    programs.gate[(len(x), triton.cdiv(inner, 1024))](x, out, inner, BLOCK=1024)
    return out


def product(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    norm: tuple[torch.Tensor, float] | None = None,
    gate: bool = False,
    residual: torch.Tensor | None = None,
) -> torch.Tensor:
    """At most FEW rows x [B, in] by a weight [out, in], read once, in float32 sums; returns [B, out].

    `norm`: weight and epsilon of an RMS norm of x before. `gate`: what the weight's first half gives goes
    through SiLU and is multiplied by what its second half gives, [B, out / 2]. `residual` [B, out] is added.
    """
    outer, inner = weight.shape[0] // (2 if gate else 1), weight.shape[1]
    out = x.new_empty(len(x), outer)
    rows, block, warps = tiling(outer, gate)
    absent = x
    programs.product[(triton.cdiv(outer, rows),)](
        *(x, absent if norm is None else norm[0], weight, absent if bias is None else bias),
        *(absent if residual is None else residual, out, inner, outer, 0.0 if norm is None else norm[1]),
        GIVEN=len(x),
        COUNT=triton.next_power_of_2(len(x)),
        ROWS=rows,
        BLOCK=block,
        NORMED=norm is not None,
        BIASED=bias is not None,
        ADDED=residual is not None,
        GATED=gate,
        num_warps=warps,
    )
    return out


def tiling(outer: int, gate: bool) -> tuple[int, int, int]:
    """Channels of a program, numbers of a row that it reads at a time, and its warps."""
    return (2, 1024, 4) if gate or outer < 8192 else (4, 1024, 4)


def place(
    qkv: torch.Tensor,
    tables: tuple[torch.Tensor, torch.Tensor],
    slots: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    norms: tuple[torch.Tensor, torch.Tensor, float] | None = None,
) -> torch.Tensor:
    """Rotate queries and keys, and write keys and values into their pools.

    qkv [B, (H + 2 K) C]; tables: cosine and sine [B, 1, C] as `nn.rope` gives them; slots int64 [B]: places
    in the pools [pages, page_size, K, C], one page behind the other; norms: weights [C] and epsilon of the
    RMS norms of query and key heads. Returns queries [B, H, C].
    """
    groups, width = keys.shape[2:]
    heads = qkv.shape[1] // width - 2 * groups
    query = qkv.new_empty(len(qkv), heads, width)
    query_norm, key_norm, eps = norms or (qkv, qkv, 0.0)
    programs.place[(len(qkv), heads + 2 * groups)](
        *(qkv, *tables, query_norm, key_norm, slots, query, keys, values, eps),
        HEADS=heads,
        GROUPS=groups,
        WIDTH=width,
        BLOCK=triton.next_power_of_2(width // 2),
        NORMED=norms is not None,
        num_warps=1,
    )
    return query


def attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, table: torch.Tensor, seen: torch.Tensor
) -> torch.Tensor:
    """Of each sequence's newest token over its cache: query [B, H, C] to [B, H, C].

    Pools [pages, page_size, K, C]; table int32 [B, P]: a sequence's pages in order; seen int32 [B]: its
    tokens in the cache, the newest among them. One with none gets zeros.
    """
    count, heads, width = query.shape
    page, groups = keys.shape[1:3]
    splits = max(1, min(32, triton.next_power_of_2(SPLITS_IN_ALL // (count * groups))))
    options: dict[str, Any] = {"dtype": torch.float32, "device": query.device}
    parts = torch.empty(count, heads, splits, width, **options)
    peaks, totals = torch.empty(2, count, heads, splits, **options)
    out = torch.empty_like(query)
    columns = max(16, triton.next_power_of_2(width))
    programs.attend[(count, groups, splits)](
        *(query, keys, values, table, seen, parts, peaks, totals, table.stride(0), width**-0.5),
        PAGE=page,
        GROUPS=groups,
        SHARE=heads // groups,
        WIDTH=width,
        SPLITS=splits,
        ROWS=max(16, triton.next_power_of_2(heads // groups)),
        BLOCK=TOKENS_AT_ONCE,
        COLUMNS=columns,
    )
    programs.combine[(count * heads,)](
        parts, peaks, totals, out, WIDTH=width, SPLITS=splits, COLUMNS=columns, num_warps=2
    )
    return out
