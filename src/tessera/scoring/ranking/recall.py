"""Recall at k as retrieval is published: a query counts when any of its positives is among its best k."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

PUBLISHED = (1, 5, 10)
"""Values of k in the tables (docs/facts/embedding.md)."""


@dataclass(frozen=True)
class Recall:
    """Percent of queries by k."""

    queries: int
    at: dict[int, float]

    @property
    def mean(self) -> float:
        """Over all k, as tables sum up."""
        return sum(self.at.values()) / len(self.at)


def recall_at(
    found: Iterable[Sequence[int]], positives: Iterable[Collection[int]], ks: Sequence[int] = PUBLISHED
) -> Recall:
    """Percent of queries with a positive among the first k.

    found: numbers of what each query found, best first, max(ks) of them or all there are; positives: numbers
    of what it should find. Raises ValueError for a query without positives, and for none at all.
    """
    hits, queries = dict.fromkeys(ks, 0), 0
    for numbers, right in zip(found, positives, strict=True):
        if not right:
            raise ValueError(f"query {queries + 1} has nothing that it should find; leave it out")
        queries += 1
        first = next((place for place, number in enumerate(numbers) if number in right), None)
        for k in ks:
            hits[k] += first is not None and first < k
    if not queries:
        raise ValueError("queries: none given, so there is no recall")
    return Recall(queries, {k: 100 * hits[k] / queries for k in ks})
