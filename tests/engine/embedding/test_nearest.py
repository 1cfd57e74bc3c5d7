"""Exact search in blocks against sorting everything, and the published dual softmax."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tessera.engine.embedding.nearest import nearest


def slowly(queries: torch.Tensor, rows: torch.Tensor, count: int, dual: bool) -> tuple[list, list]:
    """Every score, each row of them sorted by score and, where equal, by place."""
    scores = (queries.double() @ rows.double().T).float()
    if dual:
        scores = (scores.double() * scores.double().softmax(dim=0)).float()
    order = [sorted(range(len(rows)), key=lambda n: (-line[n], n))[:count] for line in scores.tolist()]
    return order, [[line[n] for n in best] for line, best in zip(scores.tolist(), order, strict=True)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 7), st.integers(1, 40), st.integers(1, 12), st.integers(1, 9))
def test_blocks_give_what_sorting_everything_gives(
    seed: int, queries: int, rows: int, count: int, size: int
) -> None:
    made = torch.Generator().manual_seed(seed)
    # Few values, so that many scores are equal.
    table = torch.randint(-1, 2, (rows, 5), generator=made).float()
    asked = torch.randint(-1, 2, (queries, 5), generator=made).float()
    found = nearest(asked, table, count, queries_at_once=2, rows_at_once=size)
    order, scores = slowly(asked, table, count, dual=False)
    assert found.rows.tolist() == order
    assert found.scores.tolist() == scores


def test_the_same_picture_many_times_keeps_its_order() -> None:
    """Products in float32 differ in the last digit with the place in a block."""
    row = F.normalize(torch.randn(1, 768, generator=torch.Generator().manual_seed(0)), dim=-1)
    found = nearest(row, row.repeat(1000, 1), 1000, rows_at_once=77)
    assert found.rows[0].tolist() == list(range(1000))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_dual_softmax_runs_over_the_queries(size: int) -> None:
    made = torch.Generator().manual_seed(1)
    asked, table = torch.randn(6, 8, generator=made), torch.randn(9, 8, generator=made)
    found = nearest(asked, table, 4, dual_softmax=True, queries_at_once=2, rows_at_once=size)
    order, scores = slowly(asked, table, 4, dual=True)
    assert found.rows.tolist() == order
    torch.testing.assert_close(found.scores, torch.tensor(scores))


def test_few_rows_and_no_queries() -> None:
    assert nearest(torch.ones(2, 3), torch.ones(1, 3), 10).rows.tolist() == [[0], [0]]
    assert nearest(torch.empty(0, 3), torch.ones(4, 3), 2).rows.shape == (0, 2)
    with pytest.raises(ValueError, match="rows as wide as the queries"):
        nearest(torch.ones(2, 3), torch.ones(4, 5), 1)
