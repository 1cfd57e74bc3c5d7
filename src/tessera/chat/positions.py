"""Variable visual position encoding (V2PE): text advances by 1, visual tokens by a fraction
(docs/facts/positions.md)."""

from collections.abc import Sequence
from random import Random

import numpy as np
import numpy.typing as npt

STRIDES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Numerators over 256 that InternVL3 draws from in training: increments 1/256 ... 1."""


def require_increment(value: float) -> float:
    """The value itself if InternVL3 was trained with it: 1, 1/2 ... 1/256. Raises ValueError otherwise."""
    if value * 256 not in STRIDES:
        raise ValueError(f"visual_increment = {value}: give 1 (ordinary positions) or 1/2, 1/4 ... 1/256")
    return float(value)


def draw_increments(ids: npt.NDArray[np.integer], image_token_id: int, rng: Random) -> list[float]:
    """An increment for each picture of ids [T], drawn evenly from those of `STRIDES`, as InternVL3 does."""
    visual = ids == image_token_id
    pictures = int(visual[:1].sum()) + int((visual[1:] & ~visual[:-1]).sum())
    return [rng.choice(STRIDES) / 256 for _ in range(pictures)]


def branched_positions(
    ids: npt.NDArray[np.integer],
    branches: Sequence[int],
    image_token_id: int,
    increments: float | Sequence[float],
) -> npt.NDArray[np.float32]:
    """float32 [T] positions of a prompt with answers behind it, each of which starts where the prompt ended.

    `branches`: tokens of each answer; without any these are `v2pe_positions`.
    """
    prompt = len(ids) - sum(branches)
    head, *answers = np.split(ids, np.cumsum([prompt, *branches])[:-1]) if branches else (ids,)
    placed = [v2pe_positions(head, image_token_id, increments)]
    for answer in answers:
        whole = v2pe_positions(np.concatenate([head, answer]), image_token_id, increments)
        placed.append(whole[prompt:])
    return np.concatenate(placed)


def v2pe_positions(
    ids: npt.NDArray[np.integer], image_token_id: int, increments: float | Sequence[float]
) -> npt.NDArray[np.float32]:
    """float32 [T] positions of one sequence of ids [T].

    `increments` gives delta for each run of placeholders, in order, or one for all. After a run that started
    behind position `p` and holds `n` tokens, the next text token stands at ceil(p + n * delta) + 1. With
    delta = 1 these are the ordinary integers. Raises ValueError when runs and increments differ in number.
    """
    if increments == 1:
        return np.arange(len(ids), dtype=np.float32)
    visual = ids == image_token_id
    edges = np.diff(visual.astype(np.int8), prepend=np.int8(0), append=np.int8(0))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    counts = ends - starts
    if isinstance(increments, float | int):
        increments = [float(increments)] * len(counts)
    if len(counts) != len(increments):
        raise ValueError(
            f"increments has {len(increments)} entries but the sequence has {len(counts)} picture runs"
        )
    deltas = np.array(increments, dtype=np.float64)
    # A run begins behind a text token, thus behind an integer, and lifts all that follows it.
    steps = np.zeros(len(ids) + 1)
    steps[ends] = np.ceil(counts * deltas)
    positions = (steps[:-1] + ~visual).cumsum() - 1
    place = np.flatnonzero(visual) - np.repeat(starts, counts) + 1
    positions[visual] += place * np.repeat(deltas, counts)
    return positions.astype(np.float32)
