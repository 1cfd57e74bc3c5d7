"""Windows and sinks in every layout against the oracle with its explicit mask."""

from __future__ import annotations

import pytest
import torch

from tessera.nn.attention import limited
from tessera.nn.attention.api import REFERENCE, attend
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Branched, Layout, Packed, Paged
from tessera.nn.attention.limited import Restriction
from tessera.nn.attention.reference import reference_attention

HEADS, GROUPS, WIDTH = 4, 2, 8
LIMITS = [(None, True), (4, False), (4, True), (1, True), (64, True)]
LAYOUTS = [
    Packed((7, 1, 12)),
    Branched.of((9, 14), ((2, 3), ())),
    Packed((30,)),
]


def _streams(total: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    sizes = (HEADS, GROUPS, GROUPS)
    return tuple(torch.randn(total, heads, WIDTH, generator=generator).requires_grad_() for heads in sizes)


def _limits(window: int | None, sinks: bool) -> Restriction:
    return Restriction(window, torch.linspace(-1, 2, HEADS).requires_grad_() if sinks else None)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: type(layout).__name__)
@pytest.mark.parametrize("window, sinks", LIMITS)
@pytest.mark.parametrize("at_once", [256, 5])
def test_values_and_gradients(
    layout: Layout, window: int | None, sinks: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in blocks of five queries, whose scores come again in the backward pass."""
    monkeypatch.setattr(limited, "QUERIES", at_once)
    found = []
    for kernel in (None, REFERENCE):
        streams, limits = _streams(layout.total), _limits(window, sinks)
        out = attend(*streams, layout, limits=limits, kernel=kernel)
        (out * torch.arange(out.numel()).view(out.shape)).sum().backward()
        given = [*streams] if limits.sinks is None else [*streams, limits.sinks]
        found.append([out, *(each.grad for each in given)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3 if one is not found[0][0] else 1e-5)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: type(layout).__name__)
def test_some_rows_alone(layout: Layout) -> None:
    query, key, value = _streams(layout.total)
    rows = torch.arange(1, layout.total, 3)
    whole = attend(query, key, value, layout, limits=_limits(4, True))
    some = attend(query[rows], key, value, layout, rows=rows, limits=_limits(4, True))
    torch.testing.assert_close(some, whole[rows])


def test_a_cache_in_pieces_beyond_the_window() -> None:
    """Prompts in pieces, single tokens, and two sequences with the same first pages."""
    total, limits = 23, _limits(6, True)
    query, key, value = _streams(total)
    with torch.no_grad():
        whole = reference_attention(query, key, value, Packed((total,)), limits=limits)
        cache, done, found = KVCache(1, 10, 4, GROUPS, WIDTH), 0, []
        pages = ((7, 0, 3, 4, 1, 9),)
        for new in (9, 1, 1, 5, 1, 6):
            layout = Paged((new,), (done,), pages)
            part = slice(done, done + new)
            found.append(attend(query[part], key[part], value[part], layout, cache, limits=limits))
            done += new
        torch.testing.assert_close(torch.cat(found), whole, rtol=1e-5, atol=1e-5)
        shared = Paged((3, 3), (8, 8), ((7, 0, 5), (7, 0, 6)))
        part = torch.tensor([8, 9, 10, 8, 9, 10])
        both = attend(query[part], key[part], value[part], shared, cache, limits=limits)
        torch.testing.assert_close(both, whole[part], rtol=1e-5, atol=1e-5)
        last = attend(
            query[part[[2, 5]]],
            key[part],
            value[part],
            shared,
            cache,
            rows=torch.tensor([2, 5]),
            limits=limits,
        )
        torch.testing.assert_close(last, whole[[10, 10]], rtol=1e-5, atol=1e-5)


def test_a_layout_that_is_not_causal_is_refused() -> None:
    with pytest.raises(ValueError, match="causal = False"):
        attend(*_streams(4), Packed((4,), causal=False), limits=_limits(2, False))
