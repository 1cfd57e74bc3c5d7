"""From scores to the next token of every row: penalties, temperature, cuts, then one draw.

Every request draws from its own generator, one number a token, so that its answer does not depend on what
else is in the batch. The draw inverts the cumulative distribution, which needs no second random number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tessera.engine.completion import TokenLogprob
from tessera.engine.sampling.cuts import OFF, cut_rows
from tessera.engine.sampling.likelihood import tell_rows
from tessera.engine.sampling.options import Sampling
from tessera.engine.sampling.penalties import Penalties
from tessera.runtime.shown import shown

LEAST_HEAT = 1e-30
"""Lowest temperature that float32 can divide by."""


@dataclass(frozen=True)
class Chosen:
    """A chosen token; how likely it was, where the request asks for that."""

    token: int
    logprob: TokenLogprob | None = None


class Chooser:
    """How one request's tokens are chosen: what it asks for, its random stream, and what it has said.

    prompt: ids of the prompt. vocabulary: number of tokens. Raises ValueError for a token that is none.
    """

    def __init__(self, sampling: Sampling, prompt: Sequence[int], vocabulary: int) -> None:
        for name, ids in (
            ("logit_bias", [token for token, _ in sampling.logit_bias]),
            ("stop_token_ids", sampling.stop_token_ids),
        ):
            if odd := [token for token in ids if not 0 <= token < vocabulary]:
                raise ValueError(f"{name} names token {shown(odd[0])}: give ids from 0 to {vocabulary - 1}")
        self.sampling = sampling
        self.penalties = Penalties(sampling, prompt)
        self._generator = torch.Generator().manual_seed(sampling.seed)  # on the CPU on every machine

    def point(self) -> float:
        """The next number of the random stream, from 0 up to 1."""
        return float(torch.rand((), generator=self._generator, dtype=torch.float64))

    def take(self, token: int) -> None:
        """The answer goes on with this token."""
        self.penalties.take(token)


def choose_rows(scores: torch.Tensor, choosers: Sequence[Chooser]) -> list[Chosen]:
    """The next token for every row of raw scores [B, V], which stay as they are; all must be sound.

    The result is not yet part of the answers: `Chooser.take` says so. Raises ValueError when the rows are
    not as many as the choosers.
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
    return [Chosen(token, logprob) for token, logprob in zip(tokens, told, strict=True)]


def _changed(scores: torch.Tensor, choosers: Sequence[Chooser]) -> torch.Tensor:
    """Scores float32 [B, V] as bias and penalties leave them; a copy where there are any."""
    changing = [row for row, chooser in enumerate(choosers) if not chooser.penalties.idle]
    if not changing:
        return scores
    scores = scores.clone()
    for row in changing:
        choosers[row].penalties.apply(scores[row])
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


def forbid(scores: torch.Tensor, image_token_id: int, vocabulary: int) -> torch.Tensor:
    """Scores [..., V], in place, without `<IMG_CONTEXT>` and without padded rows that no token has.

    A generated `<IMG_CONTEXT>` would ask for a picture that is not there.
    """
    scores[..., image_token_id] = OFF
    scores[..., vocabulary:] = OFF
    return scores
