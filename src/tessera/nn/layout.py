"""Who may look at whom in a flat stream of tokens.

A batch is always one stream of `T` tokens with boundaries, never a padded rectangle. `Packed` is a stream
without a past (training, a first prefill without cache); `Paged` continues sequences whose keys and values
lie in pages of a cache. In both, attention is causal within a sequence and blind across sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import torch


def _bounds(lengths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(pairwise(accumulate(lengths, initial=0)))


def _require_positive(lengths: tuple[int, ...]) -> None:
    if not lengths or min(lengths) < 1:
        raise ValueError(f"lengths = {lengths}: a layout needs at least one sequence of at least one token")


@dataclass(frozen=True)
class Packed:
    """Sequences laid end to end; `lengths` in tokens, in stream order."""

    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        _require_positive(self.lengths)

    @cached_property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Half-open token range of each sequence in the stream."""
        return _bounds(self.lengths)

    @property
    def total(self) -> int:
        """Tokens in the stream."""
        return sum(self.lengths)

    def positions(self, device: torch.device | None = None) -> torch.Tensor:
        """float32 [T]: 0, 1, 2 ... restarting in each sequence."""
        return torch.cat([torch.arange(n, dtype=torch.float32, device=device) for n in self.lengths])


@dataclass(frozen=True)
class Paged:
    """New tokens of sequences whose past is cached.

    `query_lengths` counts the new tokens, `context_lengths` the tokens already cached, `pages` names each
    sequence's pages in order. One page per sequence is the contiguous case.
    """

    query_lengths: tuple[int, ...]
    context_lengths: tuple[int, ...]
    pages: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        _require_positive(self.query_lengths)
        counts = (len(self.query_lengths), len(self.context_lengths), len(self.pages))
        if len(set(counts)) != 1:
            raise ValueError(
                f"query_lengths, context_lengths and pages have {counts} entries: they must agree"
            )

    @cached_property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Half-open token range of each sequence's new tokens in the stream."""
        return _bounds(self.query_lengths)

    @property
    def total(self) -> int:
        """New tokens in the stream."""
        return sum(self.query_lengths)

    def positions(self, device: torch.device | None = None) -> torch.Tensor:
        """float32 [T]: each sequence goes on where its context ended."""
        spans = zip(self.context_lengths, self.query_lengths, strict=True)
        return torch.cat([torch.arange(c, c + q, dtype=torch.float32, device=device) for c, q in spans])


Layout = Packed | Paged
