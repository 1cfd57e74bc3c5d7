"""Streams whose pieces see chosen other pieces: an encoder's queries beside a text, in every way to mix them.

Every piece is a sequence of its own; one that sees others has their keys before its own. Pieces of one kind
and size are one batched call without a mask or with a small one, so nothing is padded and no mask of the
whole stream is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from tessera.nn.attention.layout import Layout, Paged, places
from tessera.nn.attention.sdpa import sdpa


@dataclass(frozen=True)
class Pieces(Layout):
    """Pieces laid end to end, each of which sees itself and, whole, the pieces of `sees`.

    `causal_pieces`: whether a piece's tokens see of their own piece only what stands before them. `starts`:
    position of each piece's first token. `pages`: where a cache keeps each piece's keys, None for no cache.
    """

    causal_pieces: tuple[bool, ...]
    sees: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]
    pages: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = {len(each) for each in (self.lengths, self.causal_pieces, self.sees, self.starts)}
        known = range(len(self.lengths))
        if len(counts) != 1 or any(i not in known or i == me for me, s in enumerate(self.sees) for i in s):
            raise ValueError(
                f"sees = {self.sees} of {len(self.lengths)} pieces: each piece needs an entry that names "
                "other pieces"
            )

    @cached_property
    def contexts(self) -> tuple[int, ...]:
        """Tokens of the pieces that each one sees."""
        return tuple(sum(self.lengths[i] for i in seen) for seen in self.sees)

    @property
    def seen(self) -> int:
        """Pairs of a token and a key that it sees."""
        kinds = zip(self.lengths, self.contexts, self.causal_pieces, strict=True)
        return sum(n * past + (n * (n + 1) // 2 if causal else n * n) for n, past, causal in kinds)

    def positions(self, device: torch.device | None = None) -> torch.Tensor:
        """float32 [T]: each piece counts from its start."""
        return places(self.lengths, self.starts, device)[1].float()

    def allowed(self, device: torch.device) -> torch.Tensor:
        """bool [T, T]: whether a token of the stream sees another."""
        owner, place = places(self.lengths, (0,) * len(self.lengths), device)
        table = torch.zeros(len(self.lengths), len(self.lengths), dtype=torch.bool, device=device)
        for piece, seen in enumerate(self.sees):
            table[piece, list(seen)] = True
        causal = torch.tensor(self.causal_pieces, device=device)[owner][:, None]
        own = (owner[:, None] == owner) & (~causal | (place[:, None] >= place))
        return own | table[owner][:, owner]

    @cached_property
    def written(self) -> Paged:
        """Where a cache takes the pieces' keys. ValueError without pages."""
        if self.pages is None:
            raise ValueError("pages = None: name each piece's pages to write it into a cache")
        return Paged(self.lengths, (0,) * len(self.lengths), self.pages)

    def gathering(self, device: torch.device) -> Gathering:
        """How the stream is taken apart for attention, made once for all layers."""
        return self.kept("pieces", device, lambda: self._gathering(device))

    def _gathering(self, device: torch.device) -> Gathering:
        kinds: dict[tuple[int, int, bool], list[int]] = {}
        for piece, kind in enumerate(zip(self.lengths, self.contexts, self.causal_pieces, strict=True)):
            kinds.setdefault(kind, []).append(piece)
        rows = [torch.arange(*bounds) for bounds in self.bounds]
        queries = torch.cat([rows[piece] for group in kinds.values() for piece in group])
        keys = [rows[i] for group in kinds.values() for piece in group for i in (*self.sees[piece], piece)]
        batches = tuple(Batch.of(len(group), *kind, device) for kind, group in kinds.items())
        return Gathering(
            batches, queries.to(device), torch.cat(keys).to(device), queries.argsort().to(device)
        )


@dataclass(frozen=True)
class Batch:
    """`count` pieces of `length` tokens, each behind `context` keys of other pieces."""

    count: int
    length: int
    context: int
    causal: bool
    """By PyTorch's rule, which is aligned at the first key."""
    mask: torch.Tensor | None = None
    """bool [length, context + length]: the causal rule behind a context."""

    @classmethod
    def of(cls, count: int, length: int, context: int, causal: bool, device: torch.device) -> Batch:
        """With the mask that it needs, if any."""
        if not causal or not context:
            return cls(count, length, context, causal)
        mask = torch.ones(length, context + length, dtype=torch.bool, device=device).tril(context)
        return cls(count, length, context, False, mask)


@dataclass(frozen=True)
class Gathering:
    """Rows of queries and keys in the order of the batches, and the way back to the stream; int64 each."""

    batches: Sequence[Batch]
    queries: torch.Tensor
    keys: torch.Tensor
    back: torch.Tensor


def attend_pieces(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Pieces
) -> torch.Tensor:
    """query `[T, H, C]`, key and value `[T, K, C]` to `[T, H, C]`."""
    plan = layout.gathering(query.device)
    sizes = [batch.count * batch.length for batch in plan.batches]
    spans = [batch.count * (batch.length + batch.context) for batch in plan.batches]
    asked = query.index_select(0, plan.queries).split(sizes)
    keys, values = (each.index_select(0, plan.keys).split(spans) for each in (key, value))
    out = [
        sdpa(q, k, v, batch.count, batch.causal, batch.mask)
        for q, k, v, batch in zip(asked, keys, values, plan.batches, strict=True)
    ]
    return torch.cat(out).index_select(0, plan.back)
