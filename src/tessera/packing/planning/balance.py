"""Packs of a step over ranks, so that all have about the same to compute and none waits.

Work is estimated in FLOPs from plain numbers that the caller takes from the model; data never sees one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tessera.chat.encoder import Lengths


@dataclass(frozen=True)
class Work:
    """FLOPs in any unit: of a tile in the ViT, of a token and of a pair of tokens in the decoder.

    A sample of T tokens has T * (T + 1) / 2 pairs; samples of a pack don't see each other.
    """

    tile: float = 0.0
    token: float = 1.0
    pair: float = 0.0

    def of(self, samples: Iterable[Lengths]) -> float:
        """The work of a pack."""
        return sum(
            self.tile * s.tiles + self.token * s.tokens + self.pair * s.tokens * (s.tokens + 1) / 2
            for s in samples
        )


def deal(works: Sequence[float], ranks: int) -> list[list[int]]:
    """Numbers of the packs that each rank gets: as many each as can be (first ranks one more), work even.

    The heaviest pack goes first, each to the rank with the least work that still wants packs. Deterministic:
    among equals the lower number.
    """
    if ranks < 1:
        raise ValueError(f"ranks {ranks}: at least 1")
    quotas = [len(works) // ranks + (rank < len(works) % ranks) for rank in range(ranks)]
    loads = [0.0] * ranks
    shares: list[list[int]] = [[] for _ in range(ranks)]
    # Heavy packs first: light ones even out what these leave.
    for number in sorted(range(len(works)), key=lambda n: (-works[n], n)):
        wanting = (rank for rank in range(ranks) if len(shares[rank]) < quotas[rank])
        rank = min(wanting, key=lambda r: (loads[r], r))
        shares[rank].append(number)
        loads[rank] += works[number]
    return [sorted(share) for share in shares]


def alike(works: Sequence[float], step: int) -> list[list[int]]:
    """Groups of `step` packs of nearly equal work, heaviest first; the last group may be smaller."""
    order = sorted(range(len(works)), key=lambda n: (-works[n], n))
    return [order[start : start + step] for start in range(0, len(order), step)]
