"""Who may look at whom in a flat stream of tokens.

A batch is one stream of `T` tokens with boundaries, never a padded rectangle. `Packed` is a stream without a
past (training, the tiles of a ViT). `Branched` has sequences that end in several answers, blind to each
other, to one prompt. `Paged` continues sequences whose keys and values lie in pages of a cache. Another kind
of attention is one more subclass of `Layout` with its own `allowed`. Until a faster kernel knows it, every
device computes it by that mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TypeVar, cast

import torch

Kept = TypeVar("Kept")
Rows = torch.Tensor | None
"""int64 [R]: the only places of a stream that ask, in ascending order; None for all."""


@dataclass(frozen=True)
class Layout:
    """Sequences laid end to end, blind to each other; `lengths` in tokens, in stream order.

    `causal` tokens see themselves and what stands before them, others their whole sequence.
    """

    lengths: tuple[int, ...]
    causal: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 1:
            raise ValueError(
                f"lengths = {self.lengths}: a layout needs at least one sequence of at least one token"
            )

    @property
    def contexts(self) -> tuple[int, ...]:
        """Tokens of each sequence that are cached already."""
        return (0,) * len(self.lengths)

    @cached_property
    def key_lengths(self) -> tuple[int, ...]:
        """Keys of each sequence: the cached ones and those of the stream."""
        return tuple(sum(pair) for pair in zip(self.contexts, self.lengths, strict=True))

    @cached_property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Half-open token range of each sequence in the stream."""
        return tuple(pairwise(accumulate(self.lengths, initial=0)))

    @cached_property
    def key_bounds(self) -> tuple[tuple[int, int], ...]:
        """Half-open range of each sequence's keys in the stream of all keys."""
        return tuple(pairwise(accumulate(self.key_lengths, initial=0)))

    @property
    def total(self) -> int:
        """Tokens in the stream."""
        return sum(self.lengths)

    @property
    def seen(self) -> int:
        """Pairs of a token and a key that it sees, under the causal rule."""
        return sum(n * past + n * (n + 1) // 2 for n, past in zip(self.lengths, self.contexts, strict=True))

    def positions(self, device: torch.device | None = None) -> torch.Tensor:
        """float32 [T]: 0, 1, 2 ... in each sequence, going on where its context ended."""
        return places(self.lengths, self.contexts, device)[1].float()

    def ends(self, device: torch.device) -> torch.Tensor:
        """int64 [B]: place of each sequence's last token in the stream."""
        return torch.tensor([end - 1 for _, end in self.bounds], device=device)

    def before(self) -> torch.Tensor:
        """int64 [T]: place in the stream of the token that each one stands behind; -1 for a first one."""
        places = torch.arange(-1, self.total - 1)
        places[[start for start, _ in self.bounds]] = -1
        return places

    def cu_seqlens(self, device: torch.device) -> torch.Tensor:
        """int32 [B + 1]: where each sequence begins in the stream, and the stream's end."""
        return self.kept("queries", device, lambda: _cumulative(self.lengths, device))

    def cu_seqlens_k(self, device: torch.device) -> torch.Tensor:
        """int32 [B + 1]: the same for the stream of all keys, the cached ones included."""
        return self.kept("keys", device, lambda: _cumulative(self.key_lengths, device))

    def allowed(self, device: torch.device) -> torch.Tensor:
        """bool [T, keys]: whether a token of the stream sees a key."""
        owner, place = places(self.lengths, self.contexts, device)
        key_owner, key_place = places(self.key_lengths, (0,) * len(self.lengths), device)
        sees = owner[:, None] == key_owner
        return sees & (place[:, None] >= key_place) if self.causal else sees

    def kept(self, what: str, device: torch.device, make: Callable[[], Kept]) -> Kept:
        """What is made once for all layers of a step and kept with the layout, mostly a tensor."""
        kept = self._kept
        if (what, device) not in kept:
            with torch.inference_mode(False):  # else a training step that shares the layout could not save it
                kept[what, device] = make()
        return cast(Kept, kept[what, device])

    @cached_property
    def _kept(self) -> dict[tuple[str, torch.device], object]:
        return {}


@dataclass(frozen=True)
class Packed(Layout):
    """A stream without a past: the keys are the stream's own."""


@dataclass(frozen=True)
class Branched(Layout):
    """Pieces of a stream without a past: some continue an earlier piece, a prompt, and see it and themselves.

    `roots`: for each piece of `lengths` the piece that it continues, or itself. Several answers to one prompt
    are pieces with one root: each sees what it would see behind a prompt of its own, and stands where it
    would stand there. Before attention, keys are gathered to one stream, `key_rows`: a prompt's once for
    itself and once for each answer.
    """

    roots: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        begins = {piece for piece, root in enumerate(self.roots) if piece == root}
        if len(self.roots) != len(self.lengths) or not begins.issuperset(self.roots) or not self.causal:
            raise ValueError(
                f"roots = {self.roots} of {len(self.lengths)} causal pieces: each names a piece that "
                "continues none, or itself"
            )

    @classmethod
    def of(cls, lengths: Sequence[int], branches: Sequence[tuple[int, ...]]) -> Branched:
        """Sequences of so many tokens, each of which ends in `branches`, () for none."""
        pieces: list[int] = []
        roots: list[int] = []
        for length, own in zip(lengths, branches, strict=True):
            root = len(pieces)
            pieces += [length - sum(own), *own]
            roots += [root] * (1 + len(own))
        return cls(tuple(pieces), tuple(roots))

    @cached_property
    def contexts(self) -> tuple[int, ...]:
        """Tokens of the prompt that each piece continues."""
        return tuple(0 if piece == root else self.lengths[root] for piece, root in enumerate(self.roots))

    def before(self) -> torch.Tensor:
        """int64 [T]: a prompt's last token stands before the first of each answer."""
        places = super().before()
        for (start, _), root in zip(self.bounds, self.roots, strict=True):
            if self.bounds[root][0] != start:
                places[start] = self.bounds[root][1] - 1
        return places

    def key_rows(self, device: torch.device) -> torch.Tensor:
        """int64 [keys]: the token of the stream that each key belongs to."""
        return self.kept("rows", device, lambda: self._gathered().to(device))

    def _gathered(self) -> torch.Tensor:
        rows = [torch.arange(*bounds) for bounds in self.bounds]
        pairs = enumerate(self.roots)
        return torch.cat([rows[each] for piece, root in pairs for each in dict.fromkeys((root, piece))])


@dataclass(frozen=True)
class Paged(Layout):
    """New tokens of sequences whose past is cached.

    `context_lengths` counts the tokens already cached, `pages` names each sequence's pages in order: one page
    each is the contiguous case. Sequences with the same beginning may name the same pages for it.
    """

    context_lengths: tuple[int, ...]
    pages: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = (len(self.lengths), len(self.context_lengths), len(self.pages))
        if len(set(counts)) != 1:
            raise ValueError(f"lengths, context_lengths and pages have {counts} entries: they must agree")

    @property
    def contexts(self) -> tuple[int, ...]:
        """Tokens of each sequence that are cached already."""
        return self.context_lengths

    @cached_property
    def last(self) -> Paged:
        """The same sequences when only the last token of each asks."""
        return Paged((1,) * len(self.lengths), tuple(length - 1 for length in self.key_lengths), self.pages)

    def part(self, chosen: Sequence[int]) -> Paged | None:
        """Some of the sequences, by their places; None for none."""
        if not chosen:
            return None
        lengths, contexts = ([given[i] for i in chosen] for given in (self.lengths, self.context_lengths))
        return Paged(
            tuple(lengths), tuple(contexts), tuple(self.pages[i] for i in chosen), causal=self.causal
        )

    def block_table(self, device: torch.device) -> torch.Tensor:
        """int32 [B, most pages of a sequence]: its pages in order, then zeros."""
        most = max(map(len, self.pages))
        rows = [(*pages, *(0,) * (most - len(pages))) for pages in self.pages]
        return torch.tensor(rows, dtype=torch.int32, device=device)


def places(
    lengths: tuple[int, ...], starts: tuple[int, ...], device: torch.device | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each token in a stream: its sequence and its place there, counted from `starts`; int64 [T] each."""
    counts = torch.tensor(lengths, device=device)
    owner = torch.repeat_interleave(counts, output_size=sum(lengths))
    first = torch.tensor(starts, device=device) - (counts.cumsum(0) - counts)
    return owner, torch.arange(len(owner), device=device) + first[owner]


def _cumulative(lengths: tuple[int, ...], device: torch.device) -> torch.Tensor:
    return torch.tensor(list(accumulate(lengths, initial=0)), dtype=torch.int32, device=device)
