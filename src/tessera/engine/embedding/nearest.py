"""Exact search: the rows nearest to each query, in blocks, so that memory stays the same for any number.

Written by hand though FAISS exists: its exact index is a matrix product, too, and keeps no order among equal
scores. On a million rows of 768 numbers the product takes nearly all of the time. Delete it for an index that
is asked a thousand times a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

QUERIES_AT_ONCE = 256
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Nearest:
    """The best rows of every query, best first: numbers int64 [Q, K] and scores float32 [Q, K]."""

    rows: Tensor
    scores: Tensor


def nearest(
    queries: Tensor,
    rows: Tensor,
    count: int,
    *,
    dual_softmax: bool = False,
    queries_at_once: int = QUERIES_AT_ONCE,
    rows_at_once: int = ROWS_AT_ONCE,
) -> Nearest:
    """The `count` rows [N, W] with the highest products for each query [Q, W]; equal scores keep their order.

    Products are summed in float64 and rounded to float32, so that they do not depend on the blocks: the
    result is what sorting all scores gives. `rows` may lie in a file that is mapped. dual_softmax: scores
    times their softmax over all queries (docs/facts/embedding.md). Fewer than `count` where there are fewer.
    """
    if count < 1 or queries.dim() != 2 or rows.dim() != 2 or queries.shape[1] != rows.shape[1]:
        raise ValueError(
            f"count = {count}, queries {list(queries.shape)}, rows {list(rows.shape)}: give at least 1, and "
            "rows as wide as the queries"
        )
    count = min(count, len(rows))
    masses = _masses(queries, rows, queries_at_once, rows_at_once) if dual_softmax else None
    found = [
        _best_of(some, rows, count, rows_at_once, masses)
        for some in queries.split(queries_at_once)
        if len(some)
    ]
    if not found:
        return Nearest(torch.empty(0, count, dtype=torch.int64), torch.empty(0, count))
    return Nearest(torch.cat([rows for rows, _ in found]), torch.cat([scores for _, scores in found]))


def _best_of(
    queries: Tensor, rows: Tensor, count: int, size: int, masses: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Numbers and scores of the best rows for a block of queries."""
    best_rows = torch.empty(len(queries), 0, dtype=torch.int64)
    best = torch.empty(len(queries), 0)
    for start, scores in _scores(queries, rows, size):
        if masses is not None:
            scores = scores * (scores - masses[start : start + scores.shape[1]]).exp()
        numbers = torch.arange(start, start + scores.shape[1]).expand(len(queries), -1)
        best, best_rows = torch.cat((best, scores.float()), 1), torch.cat((best_rows, numbers), 1)
        kept = _first_best(best, min(count, best.shape[1]))
        best, best_rows = best.gather(1, kept), best_rows.gather(1, kept)
    best, order = best.sort(dim=1, descending=True, stable=True)
    return best_rows.gather(1, order), best


def _first_best(scores: Tensor, count: int) -> Tensor:
    """Places [Q, count] of the highest scores, ascending; of equal ones at the border the first are taken."""
    border = scores.topk(count, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
    above, level = scores > border, scores == border
    missing = count - above.sum(dim=1, keepdim=True)
    taken = above | (level & (level.cumsum(dim=1) <= missing))
    return taken.nonzero()[:, 1].view(len(scores), count)


def _scores(queries: Tensor, rows: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    """(number of the first row, products float64 [Q, size]) block after block."""
    wide = queries.double()
    for start in range(0, len(rows), size):
        yield start, (wide @ rows[start : start + size].double().T).float().double()


def _masses(queries: Tensor, rows: Tensor, queries_size: int, size: int) -> Tensor:
    """Logarithm of the summed exponentials of every row's scores over all queries, float64 [N]."""
    total = torch.full((len(rows),), -torch.inf, dtype=torch.float64)
    for some in queries.split(queries_size):
        for start, scores in _scores(some, rows, size):
            part = total[start : start + scores.shape[1]]
            part.copy_(torch.logaddexp(part, scores.logsumexp(dim=0)))
    return total
