"""How long the answers of a source are, from one pass, and how far a record lies outside."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tessera.curation.filters.rules.finding import Finding
from tessera.runtime.seeds import derive_seed

SAMPLE = 10_000
"""Lengths kept of a source: the memory of the first pass doesn't grow with the records."""
FEWEST_RECORDS = 50
LEAST_SPREAD = 0.35
"""Sources of nearly equal lengths: no deviation is taken for less than this, a factor of 1.4."""


@dataclass
class LengthSample:
    """A random sample of lengths, the same whatever the order and the number of processes."""

    kept: list[tuple[int, float]] = field(default_factory=list)

    def add(self, record: int, characters: int) -> None:
        """Offer the length of a record; the `SAMPLE` smallest hashes of record numbers stay."""
        self.merge([(-derive_seed("length", record), math.log1p(characters))])

    def merge(self, others: Iterable[tuple[int, float]]) -> None:
        """Take in what another process kept."""
        for item in others:
            if len(self.kept) < SAMPLE:
                heapq.heappush(self.kept, item)
            else:
                heapq.heappushpop(self.kept, item)

    def profile(self) -> LengthProfile | None:
        """Middle and spread; None when there are too few records to say what is usual."""
        if len(self.kept) < FEWEST_RECORDS:
            return None
        values = np.array([value for _, value in self.kept])
        middle = float(np.median(values))
        return LengthProfile(middle, max(1.4826 * float(np.median(np.abs(values - middle))), LEAST_SPREAD))


@dataclass(frozen=True)
class LengthProfile:
    """Median of log(1 + characters) of a source's answers and 1.4826 x their median absolute deviation."""

    middle: float
    spread: float

    def outlier(self, characters: int) -> Finding:
        """How many deviations an answer's length lies off the source's middle, on a log scale.

        InternVL2.5 names abnormal length without a figure (docs/facts/cleaning.md).
        """
        return Finding(abs(math.log1p(characters) - self.middle) / self.spread)
