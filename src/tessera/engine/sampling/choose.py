"""From scores to the next token of every row: penalties, temperature, cuts, then one draw.

Every request draws from its own generator, one number a token, so that its answer does not depend on what
else is in the batch. The draw inverts the cumulative distribution, which needs no second random number.
"""

from collections.abc import Sequence

import numpy as np
import torch

from tessera.engine.sampling.chooser import Chooser, Chosen
from tessera.engine.sampling.cuts import OFF, cut_rows
from tessera.engine.sampling.likelihood import tell_rows

LEAST_HEAT = 1e-30
"""Lowest temperature that float32 can divide by."""


def choose_rows(scores: torch.Tensor, choosers: Sequence[Chooser]) -> list[Chosen]:
    """The next token for every row of raw scores [B, V], which stay as they are; all must be sound.

    The result is not yet part of the answers: `Chooser.take` says so. A row whose grammar leads no further
    has a `fault`. Raises ValueError when the rows are not as many as the choosers.
    """
    if len(scores) != len(choosers):
        raise ValueError(f"scores has {len(scores)} rows for {len(choosers)} requests: give one row each")
    changed = _changed(scores.float(), choosers)
    picked = changed.argmax(-1)
    drawing = [row for row, chooser in enumerate(choosers) if not chooser.sampling.greedy]
    if drawing:
        picked[drawing] = _drawn(changed[drawing], [choosers[row] for row in drawing])
    tokens = picked.tolist()
    told = tell_rows(scores, tokens, [chooser.sampling.logprobs for chooser in choosers])
    faults = [chooser.guide.fault if chooser.guide else "" for chooser in choosers]
    return [Chosen(*row) for row in zip(tokens, told, faults, strict=True)]


def _changed(scores: torch.Tensor, choosers: Sequence[Chooser]) -> torch.Tensor:
    """Scores float32 [B, V] as bias, penalties and grammars leave them; a copy where there are any."""
    changing = [row for row, chooser in enumerate(choosers) if not chooser.penalties.idle]
    held = [(row, chooser.guide) for row, chooser in enumerate(choosers) if chooser.guide]
    if changing or held:
        scores = scores.clone()
    for row in changing:
        choosers[row].penalties.apply(scores[row])
    if held:
        allowed = torch.from_numpy(np.stack([guide.allowed() for _, guide in held])).to(scores.device)
        for (row, _), mask in zip(held, allowed, strict=True):
            scores[row, : len(mask)].masked_fill_(~mask, OFF)
    return scores


def _drawn(scores: torch.Tensor, choosers: Sequence[Chooser]) -> torch.Tensor:
    """One token int64 [B] for every row of scores float32 [B, V], each at its own temperature."""
    heats = torch.tensor([[chooser.sampling.temperature] for chooser in choosers], device=scores.device)
    # From the best score down: a tiny temperature then makes the others vanish, not the best overflow.
    scores = (scores - scores.amax(-1, keepdim=True)) / heats.clamp(min=LEAST_HEAT)
    scores = cut_rows(scores, [chooser.sampling for chooser in choosers])
    heights = scores.double().softmax(-1).cumsum(-1)
    points = torch.tensor([[chooser.point()] for chooser in choosers], dtype=torch.float64)
    points = points.to(scores.device) * heights[:, -1:]
    last = torch.searchsorted(heights, heights[:, -1:].contiguous())  # rounding must not reach what is off
    return torch.searchsorted(heights, points, right=True).minimum(last)[:, 0]


def finite_rows(scores: torch.Tensor) -> torch.Tensor:
    """Which rows of raw scores float [B, V] hold nothing but numbers, bool [B]: no other row can be chosen
    from. In one with NaN the first or the last token would win every time."""
    return scores.isfinite().all(-1)


def forbid(scores: torch.Tensor, placeholders: Sequence[int], vocabulary: int) -> torch.Tensor:
    """Scores [..., V], in place, without placeholders and without padded rows that no token has.

    A generated `<IMG_CONTEXT>` would ask for a picture that is not there.
    """
    for token in placeholders:
        scores[..., token] = OFF
    scores[..., vocabulary:] = OFF
    return scores
