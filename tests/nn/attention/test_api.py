"""Every kernel behind the door gives what one explicit mask over the stream gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn.attention import varlen as library

from tessera.nn.attention import varlen
from tessera.nn.attention.api import CPU, SDPA, VARLEN, Kernel, attend, describe_attention, kernel_for
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Branched, Layout, Packed, Paged
from tests.nn.attention.cases import check_cached, check_stream, streams

KERNELS = [CPU, SDPA, VARLEN]
LAYOUTS: list[Layout] = [Packed(lengths) for lengths in ((5,), (3, 3, 3), (1, 7, 2, 2, 9))]
LAYOUTS += [Packed((4, 4), causal=False), Packed((3, 6), causal=False)]
LAYOUTS += [Branched.of((9, 4, 6), ((3, 2), (), (1, 1, 3))), Branched.of((300,), ((90, 100),))]


def modern(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor, max_q: int, max_k: int, *, window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
) -> torch.Tensor:  # fmt: skip
    """PyTorch's function in the releases from 2.12 on, slowly: causal is aligned at the last key."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32 and len(cu_seq_q) == len(cu_seq_k)
    assert (cu_seq_q[0], cu_seq_q[-1], cu_seq_k[0], cu_seq_k[-1]) == (0, len(query), 0, len(key))
    assert (max_q, max_k) == (int(cu_seq_q.diff().max()), int(cu_seq_k.diff().max()))
    assert enable_gqa or query.shape[1] == key.shape[1]
    out = []
    for q, k, v in zip(
        query.split(cu_seq_q.diff().tolist()),
        key.split(cu_seq_k.diff().tolist()),
        value.split(cu_seq_k.diff().tolist()),
        strict=True,
    ):
        mask = torch.ones(len(q), len(k), dtype=torch.bool)
        mask = mask.tril(len(k) - len(q)) if window_size == (-1, 0) else mask
        k, v = (x.repeat_interleave(query.shape[1] // key.shape[1], 1) for x in (k, v))
        scores = torch.einsum("qhc,khc->hqk", q, k) * q.shape[-1] ** -0.5
        out.append(torch.einsum("hqk,khc->qhc", scores.masked_fill(~mask, float("-inf")).softmax(-1), v))
    return torch.cat(out)


def old(*inputs: Any, is_causal: bool = False) -> torch.Tensor:
    """The same before: another word for causal, and as many key heads as query heads."""
    return modern(*inputs, window_size=(-1, 0 if is_causal else -1))


@pytest.fixture(params=[modern, old], ids=["modern", "old"], autouse=True)
def calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Number of tokens of each call to the stand-in for `varlen_attn`, which has no CPU kernel."""
    seen: list[int] = []

    def record(*inputs: Any, **options: Any) -> torch.Tensor:
        seen.append(len(inputs[0]))
        return request.param(*inputs, **options)

    record.__signature__ = varlen.signature(request.param)  # type: ignore[attr-defined]
    monkeypatch.setattr(library, "varlen_attn", record)
    varlen._library.cache_clear()
    yield seen
    varlen._library.cache_clear()


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("groups", [4, 2, 1])
def test_a_stream(kernel: Kernel, layout: Packed, groups: int) -> None:
    check_stream(kernel, layout, groups=groups)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("causal", [True, False])
def test_chosen_rows(kernel: Kernel, dtype: torch.dtype, causal: bool) -> None:
    """One sequence has no chosen row: its keys get a gradient of zero."""
    layout = Packed((5, 3, 1, 7), causal=causal)
    check_stream(kernel, layout, rows=torch.tensor([0, 4, 8, 10, 11, 15]), dtype=dtype)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("page_size", [4, 32])
@pytest.mark.parametrize("last", [False, True])
def test_cached_pieces(kernel: Kernel, page_size: int, last: bool) -> None:
    check_cached(kernel, page_size, last=last)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_sequences_may_share_the_pages_of_their_beginning(kernel: Kernel) -> None:
    query, key, value = streams(4 + 3 + 2, 4, 2, torch.float32, "cpu")
    cache = KVCache(1, 3, 4, 2, query.shape[-1])
    attend(query[:4], key[:4], value[:4], Paged((4,), (0,), ((0,),)), cache, kernel=kernel)
    layout = Paged((3, 2), (4, 4), ((0, 1), (0, 2)))
    got = attend(query[4:], key[4:], value[4:], layout, cache, kernel=kernel)
    for beyond in (range(4, 7), range(7, 9)):
        own = torch.tensor([*range(4), *beyond])
        whole = attend(query[own], key[own], value[own], Packed((len(own),)))
        torch.testing.assert_close(got[beyond.start - 4 : beyond.stop - 4], whole[4:])


def test_one_call_for_all_sequences(calls: list[int]) -> None:
    """Also for chosen rows, where the whole stream asks, and for a decode step over pages."""
    check_stream(VARLEN, Packed((2, 9, 4, 1)))
    check_stream(VARLEN, Packed((2, 9, 4, 1)), rows=torch.tensor([0, 5]))
    assert calls == [16, 16]
    check_cached(VARLEN, page_size=4)
    assert calls == [16, 16, 12, 4, 1]


@pytest.mark.parametrize("capability, found", [((8, 0), True), ((9, 0), True), ((7, 5), False)])
def test_who_is_chosen(capability: tuple[int, int], found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    cuda = torch.device("cuda", 0)
    assert varlen.runs_varlen(cuda, torch.bfloat16, 64) == found
    assert not varlen.runs_varlen(cuda, torch.float32, 64), "flash attention is for half precision"
    assert not varlen.runs_varlen(cuda, torch.bfloat16, 4) and not varlen.runs_varlen(
        cuda, torch.bfloat16, 320
    )
    assert kernel_for(torch.device("cpu"), torch.bfloat16, 64) is CPU
    for dtype, kernel in ((torch.bfloat16, "varlen"), (torch.float32, "sdpa")):
        assert describe_attention(torch.device("meta"), dtype, 64) == f"{kernel} attention", "as planned for"


def test_a_layout_meets_inference_before_training() -> None:
    """Masks are made once and kept: one made in inference mode could not be saved for a backward pass."""
    layout = Packed((3, 5))
    query, key, value = streams(8, 2, 2, torch.float32, "cpu")
    with torch.inference_mode():
        expected = attend(query, key, value, layout, kernel=SDPA)
    got = attend(query.requires_grad_(), key, value, layout, kernel=SDPA)
    got.sum().backward()
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("pages, page_size", [((0,), 4), ((0, 1), 2)])
def test_a_sequence_that_outgrows_its_pages(kernel: Kernel, pages: tuple[int, ...], page_size: int) -> None:
    cache = KVCache(1, 2, page_size, 1, 16)
    inputs = streams(5, 1, 1, torch.float32, "cpu")
    with pytest.raises(ValueError, match="give the sequence more pages"):
        attend(*inputs, Paged((5,), (0,), (pages,)), cache, kernel=kernel)


def test_a_cached_layout_needs_its_cache_and_last_rows() -> None:
    query, key, value = streams(5, 1, 1, torch.float32, "cpu")
    layout = Paged((3, 2), (0, 0), ((0,), (1,)))
    with pytest.raises(ValueError, match="pass the KVCache"):
        attend(query, key, value, layout)
    rows = torch.tensor([0, 2, 4])
    with pytest.raises(ValueError, match="3 for 2 sequences; ask a Paged layout at the last place of each"):
        attend(query[rows], key, value, layout, KVCache(1, 2, 4, 1, 16), rows=rows)
