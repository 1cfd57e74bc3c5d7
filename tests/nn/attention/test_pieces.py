"""Pieces that see chosen others: the fast way and the mask, against a mask written token by token."""

from __future__ import annotations

import pytest
import torch

from tessera.nn.attention.api import REFERENCE, attend
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Paged
from tessera.nn.attention.pieces import Pieces

LAYOUT = Pieces(
    (3, 3, 4, 2, 4, 1),
    (False, False, False, True, True, True),
    ((2,), (), (0,), (), (1,), (1,)),
    (0, 0, 3, 0, 3, 5),
)


def by_hand(layout: Pieces) -> torch.Tensor:
    """bool [T, T], one pair at a time."""
    tokens = [(piece, place) for piece, length in enumerate(layout.lengths) for place in range(length)]
    rows = []
    for piece, place in tokens:
        causal, others = layout.causal_pieces[piece], layout.sees[piece]
        rows.append([p in others or (p == piece and (not causal or q <= place)) for p, q in tokens])
    return torch.tensor(rows)


def test_the_mask_is_the_one_written_by_hand() -> None:
    expected = by_hand(LAYOUT)
    assert torch.equal(LAYOUT.allowed(torch.device("cpu")), expected)
    assert LAYOUT.seen == int(expected.sum())
    assert LAYOUT.positions().tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 0, 1, 3, 4, 5, 6, 5]


def test_the_fast_way_gives_what_the_mask_gives() -> None:
    torch.manual_seed(0)
    query, key, value = (
        torch.randn(LAYOUT.total, heads, 8, dtype=torch.float64, requires_grad=True) for heads in (4, 2, 2)
    )
    slow = attend(query, key, value, LAYOUT, kernel=REFERENCE)
    fast = attend(query, key, value, LAYOUT)
    torch.testing.assert_close(fast, slow)
    weights = torch.randn_like(slow)
    wanted = torch.autograd.grad((slow * weights).sum(), (query, key, value))
    torch.testing.assert_close(torch.autograd.grad((fast * weights).sum(), (query, key, value)), wanted)


def test_a_cache_takes_the_keys_of_pieces() -> None:
    """A token behind a piece and the piece that this one sees finds both in the cache."""
    torch.manual_seed(1)
    pages = ((0, 1, 2), (3, 4, 5), (6, 7, 8, 9), (10, 11), (12, 13, 14, 15), (16,))
    layout = Pieces(LAYOUT.lengths, LAYOUT.causal_pieces, LAYOUT.sees, LAYOUT.starts, pages)
    cache = KVCache(1, 18, 1, 2, 8)
    query, key, value = (torch.randn(layout.total, heads, 8) for heads in (4, 2, 2))
    attend(query, key, value, layout, cache)
    new = [torch.randn(1, heads, 8) for heads in (4, 2, 2)]
    after = Paged((1,), (7,), ((*pages[1], *pages[4], 17),))
    found = attend(*new, after, cache)
    rows = [*range(3, 6), *range(12, 16)]
    keys, values = torch.cat((key[rows], new[1])), torch.cat((value[rows], new[2]))
    expected = attend(torch.cat((query[rows], new[0])), keys, values, Pieces((8,), (True,), ((),), (0,)))
    torch.testing.assert_close(found, expected[-1:])


def test_a_piece_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="sees = .* of 2 pieces"):
        Pieces((1, 1), (True, True), ((2,), ()), (0, 0))
    with pytest.raises(ValueError, match="pages = None"):
        _ = LAYOUT.written
