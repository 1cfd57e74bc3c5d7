"""Eight distributions of sample lengths, and what no packing can beat: used by packing.py.

Picture sizes are log-normal (median 735 pixels, sides 64 to 4000), cut by the published rule with up to 12
tiles and a thumbnail; a tile has 256 tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tessera.imaging.grid import Tiling, count_tiles

Lengths = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Tokens and tiles of N samples."""
TILE_TOKENS = 256
MAX_TOKENS, MAX_TILES = 16384, 48
TOKEN_STEPS = 256
"""Tokens are rounded down to 256ths of a pack in the linear program: the bound stays a bound."""
MIXTURE = {"captions": 0.459, "documents": 0.094, "video": 0.398, "text": 0.049}
"""Shares of single picture, several pictures, video and text in InternVL 2.5's stage 2 (paper, section 4)."""


def short_text(rng: np.random.Generator, count: int) -> Lengths:
    """Median 270 tokens, 16 to 16,000."""
    return _between(rng.lognormal(5.6, 1.0, count), 16, 16000), np.zeros(count, dtype=np.int64)


def captions(rng: np.random.Generator, count: int) -> Lengths:
    """One picture and 50 to 430 tokens."""
    tiles = _picture_tiles(rng, count, 12)
    return TILE_TOKENS * tiles + 32 + _between(rng.lognormal(4.2, 0.5, count), 20, 400), tiles


def documents(rng: np.random.Generator, count: int) -> Lengths:
    """One to three pages, 13 to 48 tiles, long text."""
    pages = rng.choice([1, 2, 3], count, p=[0.7, 0.2, 0.1])
    tiles = np.zeros(count, dtype=np.int64)
    for number, most in ((1, 12), (2, 18), (3, 12)):
        chosen = pages == number
        each = [_picture_tiles(rng, int(chosen.sum()), most) for _ in range(number)]
        tiles[chosen] = np.sum(each, axis=0)
    tiles = tiles.clip(13, MAX_TILES)
    text = _between(rng.lognormal(6.0, 0.8, count), 50, 3000)
    return np.minimum(TILE_TOKENS * tiles + text, MAX_TOKENS), tiles


def video(rng: np.random.Generator, count: int) -> Lengths:
    """8 to 32 frames of one tile with their labels."""
    frames = rng.integers(8, 33, count)
    return frames * (TILE_TOKENS + 8) + _between(rng.lognormal(5.0, 0.8, count), 30, 2000), frames


def mixture(rng: np.random.Generator, count: int) -> Lengths:
    """The four above by the shares of the 2.5 mixture."""
    names = rng.choice(list(MIXTURE), count, p=list(MIXTURE.values()))
    tokens, tiles = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for name in MIXTURE:
        chosen = names == name
        tokens[chosen], tiles[chosen] = DISTRIBUTIONS[name](rng, int(chosen.sum()))
    return tokens, tiles


def single_tiles(rng: np.random.Generator, count: int) -> Lengths:
    """Captions of one tile and 20 to 160 tokens: 48 of them hold about as many tokens as a pack."""
    return TILE_TOKENS + rng.integers(20, 161, count), np.ones(count, dtype=np.int64)


def long_captions(rng: np.random.Generator, count: int) -> Lengths:
    """Captions with up to 180 more tokens a tile."""
    tokens, tiles = captions(rng, count)
    return np.minimum(tokens + rng.integers(0, 180, count) * tiles, MAX_TOKENS), tiles


def clips_and_text(rng: np.random.Generator, count: int) -> Lengths:
    """Two in five are clips, which leave tokens; text without tiles uses them up."""
    clips = rng.random(count) < 0.4
    tokens, tiles = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    tokens[clips], tiles[clips] = video(rng, int(clips.sum()))
    tokens[~clips], _ = short_text(rng, int((~clips).sum()))
    return tokens, tiles


DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, int], Lengths]] = {
    "text": short_text,
    "captions": captions,
    "documents": documents,
    "video": video,
    "mixture": mixture,
    "single tiles": single_tiles,
    "long captions": long_captions,
    "clips and text": clips_and_text,
}


def lower_bound(
    tokens: NDArray[np.int64], tiles: NDArray[np.int64], token_steps: int = TOKEN_STEPS
) -> tuple[int, str]:
    """Fewest packs that the lengths allow, proven, and by what: sums, and each resource as bin packing.

    With scipy the linear program of Gilmore and Gomory, solved by column generation (Farley's bound);
    without, dual feasible functions, which are weaker.
    """
    try:
        import scipy.optimize  # noqa: F401
    except ModuleNotFoundError:
        relax, name = dual_feasible, "dual feasible functions"
    else:
        relax, name = linear_program, "linear program"
    step = -(-MAX_TOKENS // token_steps)
    bounds = {
        "sum of tokens": tokens.sum() / MAX_TOKENS,
        "sum of tiles": tiles.sum() / MAX_TILES,
        f"{name} of tiles": relax(tiles, MAX_TILES),
        f"{name} of tokens": relax(tokens // step, MAX_TOKENS // step),
    }
    best = max(bounds, key=lambda key: bounds[key])
    return int(np.ceil(bounds[best] - 1e-6)), best


def dual_feasible(sizes: NDArray[np.int64], capacity: int) -> float:
    """Largest bound of the functions u_k (Fekete and Schepers) for k up to 24."""
    best = 0.0
    for k in range(1, 25):
        scaled = sizes * (k + 1)
        whole = scaled % capacity == 0
        best = max(best, float(np.where(whole, sizes / capacity, scaled // capacity / k).sum()))
    return best


def linear_program(sizes: NDArray[np.int64], capacity: int) -> float:
    """Bound of the fractional cutting-stock problem with integer sizes."""
    from scipy.optimize import linprog

    kinds, counts = np.unique(sizes[sizes > 0], return_counts=True)
    if not len(kinds):
        return 0.0
    patterns = list(np.diag(capacity // kinds))
    while True:
        solved = linprog(np.ones(len(patterns)), A_ub=-np.array(patterns).T, b_ub=-counts, method="highs")
        prices = np.maximum(-solved.ineqlin.marginals, 0)
        value, pattern = _dearest_pattern(kinds, prices, capacity)
        if value <= 1 + 1e-6:
            return float(prices @ counts / max(1.0, value))
        patterns.append(pattern)


def _dearest_pattern(
    kinds: NDArray[np.int64], prices: NDArray[np.float64], capacity: int
) -> tuple[float, NDArray[np.int64]]:
    """The unbounded knapsack: which sizes together are worth most."""
    worth = np.zeros(capacity + 1)
    choice = np.full(capacity + 1, -1)
    for room in range(1, capacity + 1):
        worth[room] = worth[room - 1]
        fitting = np.flatnonzero(kinds <= room)
        if len(fitting):
            values = worth[room - kinds[fitting]] + prices[fitting]
            if values.max() > worth[room] + 1e-12:
                worth[room], choice[room] = values.max(), fitting[values.argmax()]
    pattern, room = np.zeros(len(kinds), dtype=np.int64), capacity
    while room > 0:
        if choice[room] < 0:
            room -= 1
        else:
            pattern[choice[room]] += 1
            room -= kinds[choice[room]]
    return float(worth[capacity]), pattern


def _picture_tiles(rng: np.random.Generator, count: int, most: int) -> NDArray[np.int64]:
    tiling = Tiling(max_tiles=most)
    width = rng.lognormal(6.6, 0.5, count).clip(64, 4000)
    height = (width * rng.lognormal(0, 0.35, count)).clip(64, 4000)
    pairs = zip(width.astype(int).tolist(), height.astype(int).tolist(), strict=True)
    return np.array([count_tiles(w, h, tiling) for w, h in pairs], dtype=np.int64)


def _between(values: NDArray[np.float64], least: int, most: int) -> NDArray[np.int64]:
    return values.clip(least, most).astype(np.int64)
