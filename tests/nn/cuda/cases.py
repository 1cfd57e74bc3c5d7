"""Kernels for the newest tokens beside what they stand for, on a device or in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tessera.nn.attention.api import REFERENCE, attend
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Paged
from tessera.nn.norm import RMSNorm
from tessera.nn.rope import rotary_tables, rotate

EPS = 1e-5
Shape = tuple[int, int, int]
"""Heads, groups, head width."""
SHAPES: tuple[Shape, ...] = ((4, 2, 16), (7, 1, 24), (14, 2, 64))
CONTEXTS = ((0,), (5, 0, 130), (63, 64, 65, 1), (300, 2, 17, 40, 9, 128))


def drawn(
    *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> torch.Tensor:
    """Normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype).to(device)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for the order of sums; half a dozen last places in half precision."""
    loose = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}[found.dtype]
    torch.testing.assert_close(found.float(), expected.float(), atol=loose, rtol=loose)


def check_products(count: int, dtype: torch.dtype, device: str) -> None:
    """Plain, with a bias, behind a norm, gated, added to a residual; widths that no block divides."""
    from tessera.nn.cuda import kernels

    outer, inner = 37, 1100
    x, weight = (drawn(n, inner, seed=n, dtype=dtype, device=device) / inner**0.5 for n in (count, 2 * outer))
    x = x * inner**0.5
    bias, residual = (
        drawn(2 * outer, dtype=dtype, device=device),
        drawn(count, 2 * outer, dtype=dtype, device=device),
    )
    norm = RMSNorm(inner, EPS).to(device, dtype)
    norm.weight.data = drawn(inner, dtype=dtype, device=device)
    with torch.no_grad():
        close(kernels.product(x, weight), F.linear(x, weight))
        close(kernels.product(x, weight, bias), F.linear(x, weight, bias))
        close(kernels.product(x, weight, residual=residual), F.linear(x, weight) + residual)
        given = norm.weight, EPS
        close(kernels.product(x, weight, norm=given), F.linear(norm(x), weight))
        close(kernels.normed(x, *given), norm(x))
        both = F.linear(norm(x), weight)
        silu = F.silu(both[:, :outer]) * both[:, outer:]
        close(kernels.product(x, weight, norm=given, gate=True), silu)
        close(kernels.gated(both), silu)


def check_tokens(
    shape: Shape, contexts: tuple[int, ...], normed: bool, dtype: torch.dtype, device: str
) -> None:
    """Rotation, writing into the cache and attention, beside the modules and the reference."""
    from tessera.nn.cuda import kernels

    (heads, groups, width), count, page = shape, len(contexts), 16
    layout = _layout(contexts, page)
    caches = [KVCache(1, 60, page, groups, width, dtype, device) for _ in range(2)]
    for cache in caches:
        cache.keys[0].copy_(drawn(60, page, groups, width, seed=1))
        cache.values[0].copy_(drawn(60, page, groups, width, seed=2))
    qkv = drawn(count, (heads + 2 * groups) * width, dtype=dtype, device=device)
    tables = tuple(
        x.to(dtype) for x in rotary_tables(torch.tensor(contexts, device=device) * 0.5, width, 1e4)
    )
    norms = [RMSNorm(width, EPS).to(device, dtype) for _ in range(2)]
    for seed, norm in enumerate(norms):
        norm.weight.data = drawn(width, seed=seed, dtype=dtype, device=device)
    query, key, value = qkv.unflatten(1, (-1, width)).split([heads, groups, groups], 1)
    with torch.no_grad():
        if normed:
            query, key = norms[0](query), norms[1](key)
        query, key = rotate(query, *tables), rotate(key, *tables)
    expected = attend(query, key, value, layout, caches[0], kernel=REFERENCE)
    slots = torch.tensor(
        [p[c // page] * page + c % page for p, c in zip(layout.pages, contexts, strict=True)]
    )
    given = (norms[0].weight.data, norms[1].weight.data, EPS) if normed else None
    pools = caches[1].keys[0], caches[1].values[0]
    found = kernels.place(qkv, tables, slots.to(device), *pools, given)
    close(found, query)
    close(pools[0], caches[0].keys[0])
    assert torch.equal(pools[1], caches[0].values[0])
    pools[0].copy_(caches[0].keys[0])
    seen = torch.tensor(layout.key_lengths, dtype=torch.int32, device=device)
    close(
        kernels.attention(query.contiguous(), *pools, layout.block_table(torch.device(device)), seen),
        expected,
    )
    nothing = kernels.attention(
        query.contiguous(), *pools, layout.block_table(torch.device(device)), seen * 0
    )
    assert not nothing.any()


def _layout(contexts: tuple[int, ...], page: int) -> Paged:
    """Pages in an order that is nobody's."""
    order = torch.randperm(60, generator=torch.Generator().manual_seed(3)).tolist()
    pages, taken = [], 0
    for context in contexts:
        needed = context // page + 1
        pages.append(tuple(order[taken : taken + needed]))
        taken += needed
    return Paged((1,) * len(contexts), contexts, tuple(pages))


each_count = pytest.mark.parametrize("count", [1, 2, 3, 4])
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
each_context = pytest.mark.parametrize("contexts", CONTEXTS, ids=str)
each_norm = pytest.mark.parametrize("normed", [False, True])
