"""Every kernel on a CUDA device against the reference there: packed, chosen rows, pages, decode steps."""

from __future__ import annotations

import pytest
import torch

from tessera.nn.attention.api import SDPA, VARLEN, Kernel, attend, describe_attention, kernel_for
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Packed, Paged
from tests.nn.attention.cases import WIDTH, check_cached, check_stream, streams

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: none here")

HALF = [torch.bfloat16, torch.float16]
WAYS = [(SDPA, torch.float32)] + [(kernel, dtype) for kernel in (SDPA, VARLEN) for dtype in HALF]
LAYOUTS = [Packed(lengths) for lengths in ((5,), (3, 3, 3), (1, 7, 2, 2, 9), (700, 30, 200))]
LAYOUTS += [Packed((65, 65, 65), causal=False), Packed((3, 60), causal=False)]
each_way = pytest.mark.parametrize(
    "kernel, dtype", WAYS, ids=lambda value: getattr(value, "name", str(value))
)


@each_way
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("groups", [4, 2, 1])
def test_a_stream(kernel: Kernel, dtype: torch.dtype, layout: Packed, groups: int) -> None:
    check_stream(kernel, layout, groups=groups, dtype=dtype, device="cuda")


@each_way
def test_chosen_rows(kernel: Kernel, dtype: torch.dtype) -> None:
    rows = torch.tensor([0, 4, 8, 10, 11, 15])
    check_stream(kernel, Packed((5, 3, 1, 7)), rows=rows, dtype=dtype, device="cuda")


@each_way
@pytest.mark.parametrize("page_size", [4, 32])
@pytest.mark.parametrize("last", [False, True])
def test_cached_pieces(kernel: Kernel, dtype: torch.dtype, page_size: int, last: bool) -> None:
    check_cached(kernel, page_size, last=last, dtype=dtype, device="cuda")


def test_who_is_chosen() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    new_enough = torch.cuda.get_device_capability(device) >= (8, 0)
    assert kernel_for(device, torch.bfloat16, WIDTH) is (VARLEN if new_enough else SDPA)
    assert describe_attention(device, torch.float32, WIDTH) == "sdpa attention"


@each_way
def test_a_step_waits_for_nothing(kernel: Kernel, dtype: torch.dtype) -> None:
    """Once a layout's tensors are there, a layer's attention copies nothing to or from the host."""
    packed, paged = Packed((9, 3, 20)), Paged((1, 1), (4, 6), ((0, 1), (2, 3)))
    cache = KVCache(1, 4, 4, 2, WIDTH, dtype, "cuda")
    query, key, value = (x.to(dtype) for x in streams(32, 4, 2, dtype, "cuda"))
    for mode in ("default", "error"):
        torch.cuda.set_sync_debug_mode(mode)
        try:
            attend(query, key, value, packed, kernel=kernel)
            attend(query[:2], key[:2], value[:2], paged, cache, kernel=kernel)
        finally:
            torch.cuda.set_sync_debug_mode("default")
