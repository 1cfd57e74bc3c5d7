"""One new token of many sequences: in groups as one by one, whatever their lengths and pages."""

from __future__ import annotations

import pytest
import torch

from tessera.nn.attention.api import CPU, REFERENCE, attend
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.cpu import together
from tessera.nn.attention.cpu.together import groups_of
from tessera.nn.attention.layout import Paged

WIDTH, PAGE = 16, 4
TABLES = ((9,), (3, 1, 4), (3, 1, 7), (0,), (2, 6), (5,), (8, 10, 11, 12, 13))
CONTEXTS = (0, 8, 11, 3, 5, 1, 17)


def filled(groups: int, dtype: torch.dtype) -> KVCache:
    cache = KVCache(2, 14, PAGE, groups, WIDTH, dtype)
    draw = torch.Generator().manual_seed(1)
    for pool in (*cache.keys, *cache.values):
        pool.copy_(torch.randn(pool.shape, generator=draw))
    return cache


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scratch", [2**17, 600])
@pytest.mark.parametrize("mixed", [False, True])
def test_groups_equal_the_reference(
    groups: int, dtype: torch.dtype, scratch: int, mixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some share pages; `mixed`: a piece of a prompt among them; a small scratch makes several groups."""
    monkeypatch.setattr(together, "SCRATCH", scratch)
    lengths = (1, 1, 1, 1, 3, 1, 1) if mixed else (1,) * 7
    contexts = tuple(
        min(context, len(t) * PAGE - n) for context, t, n in zip(CONTEXTS, TABLES, lengths, strict=True)
    )
    layout = Paged(lengths, contexts, TABLES)
    draw = torch.Generator().manual_seed(2)
    query, key, value = (
        torch.randn(layout.total, heads, WIDTH, generator=draw).to(dtype) for heads in (4, groups, groups)
    )
    found = []
    for kernel in (REFERENCE, CPU):
        cache = filled(groups, dtype)
        found.append(attend(query, key, value, layout, cache, 1, kernel=kernel))
    rough = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(found[1], found[0], atol=rough, rtol=rough)
    grouped = [index for group in groups_of(layout, cache, 1) for index in group.members]
    assert len(grouped) == len(set(grouped)) and not (mixed and 4 in grouped)
    assert len(grouped) == len(lengths) - mixed or scratch == 600
