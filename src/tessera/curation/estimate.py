"""How many packs and steps an epoch will have: planned on lengths, a sample of bounded size at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tessera.packing.config import Limits
from tessera.packing.planning.buffers import least_packs
from tessera.packing.planning.plan import fewest_packs

AT_A_TIME = 1 << 16
"""Samples that are planned together; packs hold too few for more to matter."""
MOST_PLANNED = 1 << 20
"""Samples that are planned; of more, an evenly spread part is planned and the result scaled."""

Lengths = tuple[NDArray[np.int32], NDArray[np.int32]]
"""Tokens and tiles of the samples of a source: int32 [N] each."""


@dataclass(frozen=True)
class PackEstimate:
    """One epoch. bound: fewer packs can't hold it; fills: share of the capacities in use, 0 to 1."""

    samples: int
    tokens: int
    tiles: int
    packs: int
    bound: int
    limits: Limits

    @property
    def token_fill(self) -> float:
        """Share of the tokens of all packs in use."""
        return self.tokens / max(1, self.packs * self.limits.max_tokens)

    @property
    def tile_fill(self) -> float:
        """Share of the tiles of all packs in use."""
        return self.tiles / max(1, self.packs * self.limits.max_tiles)

    @property
    def padding(self) -> int:
        """Tokens of the packs' capacity that stay empty; nothing is padded."""
        return self.packs * self.limits.max_tokens - self.tokens

    def steps(self, packs_per_step: int) -> int:
        """Optimizer steps of the epoch."""
        return -(-self.packs // packs_per_step)


def estimate_packs(sources: Sequence[Lengths], repeats: Sequence[float], limits: Limits) -> PackEstimate:
    """Packs of all sources mixed, each repeated by its factor. Memory is bounded; deterministic."""
    counts = [round(len(tokens) * factor) for (tokens, _), factor in zip(sources, repeats, strict=True)]
    samples = sum(counts)
    windows = max(1, -(-samples // AT_A_TIME))
    planned = min(windows, MOST_PLANNED // AT_A_TIME)
    packs = met = tokens = tiles = 0
    for window in range(planned):
        chosen = [
            _part(s, n, window * windows // planned, windows) for s, n in zip(sources, counts, strict=True)
        ]
        t, v = (np.concatenate([part[k] for part in chosen] or [np.zeros(0, dtype=np.int32)]) for k in (0, 1))
        packs += len(fewest_packs(t, v, limits.max_tokens, limits.max_tiles))
        met, tokens, tiles = met + len(t), tokens + int(t.sum()), tiles + int(v.sum())
    scale = samples / met if met else 0.0
    whole = [round(number * scale) for number in (tokens, tiles, packs)]
    bound = least_packs(whole[0], whole[1], limits.max_tokens, limits.max_tiles)
    return PackEstimate(samples, whole[0], whole[1], max(whole[2], bound), bound, limits)


def _part(source: Lengths, count: int, window: int, windows: int) -> Lengths:
    """Every `windows`-th of `count` samples, which go round the source as often as need be."""
    tokens, tiles = source
    if not len(tokens):
        return tokens, tiles
    numbers = np.arange(window, count, windows)
    # A share below 1 is spread over the source instead of taking its begin.
    where = numbers * len(tokens) // count if count < len(tokens) else numbers % len(tokens)
    return tokens[where], tiles[where]
