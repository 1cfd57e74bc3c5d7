"""Beam search over any scores: who goes on, who is finished, when nothing better can come.

The rule is transformers' (`generation/utils.py`, `_beam_search`, early_stopping False): a finished sequence
counts with its summed log-probability divided by its new tokens, eos included, to the power of the penalty;
a group ends when its best running beam, scored so at its length, is no better than its worst finished one.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import Field, model_validator

from tessera.runtime.config import Config

NEVER = -1e9
"""Score of a beam that must not be chosen."""


class BeamConfig(Config):
    """How many beams, and how long an answer may be in new tokens, eos included."""

    beams: Annotated[int, Field(ge=1, le=256)] = 5
    min_new_tokens: Annotated[int, Field(ge=0)] = 8
    max_new_tokens: Annotated[int, Field(ge=1)] = 30
    length_penalty: Annotated[float, Field(allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _fitting(self) -> BeamConfig:
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(
                f"min_new_tokens {self.min_new_tokens} is more than max_new_tokens {self.max_new_tokens}"
            )
        return self


class Finished(NamedTuple):
    """A sequence of new tokens, its eos left out, and its score."""

    score: float
    ids: tuple[int, ...]


class Beams:
    """`groups` searches at once; rows of scores lie group by group, beam by beam."""

    def __init__(self, groups: int, config: BeamConfig, eos: int) -> None:
        self.groups, self.config, self.eos = groups, config, eos
        self.length = 0
        self._scores = torch.full((groups, config.beams), NEVER)
        self._scores[:, 0] = 0.0  # all beams begin alike: only the first may be continued
        self._ids: list[list[tuple[int, ...]]] = [[()] * config.beams for _ in range(groups)]
        self._finished: list[list[Finished]] = [[] for _ in range(groups)]
        self._open = [True] * groups

    @property
    def done(self) -> bool:
        """Whether no group can gain by another step."""
        return self.length >= self.config.max_new_tokens or not any(self._open)

    def step(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores [groups * beams, V] of the next token of every beam to who goes on.

        Returns int64 [groups * beams] twice: the row that each new beam continues, and its newest token.
        """
        beams, odds = self.config.beams, logits.float().log_softmax(-1).cpu()
        if self.length < self.config.min_new_tokens:
            odds[:, self.eos] = float("-inf")
        total = (self._scores[:, :, None] + odds.unflatten(0, (self.groups, beams))).flatten(1)
        # Twice as many as there are beams: half of them may end here.
        best, place = total.topk(min(2 * beams, total.shape[1]), dim=1)
        parents, tokens = place // logits.shape[-1], place % logits.shape[-1]
        self.length += 1
        ends = (tokens == self.eos) | (self.length >= self.config.max_new_tokens)
        for group in range(self.groups):
            self._finish(group, best[group], parents[group], tokens[group], ends[group])
        going = best + ends * NEVER
        self._scores, order = going.topk(beams, dim=1)
        parents, tokens = parents.gather(1, order), tokens.gather(1, order)
        for group, (from_, new) in enumerate(zip(parents.tolist(), tokens.tolist(), strict=True)):
            before = self._ids[group]
            self._ids[group] = [(*before[parent], token) for parent, token in zip(from_, new, strict=True)]
            self._close(group)
        rows = parents + beams * torch.arange(self.groups)[:, None]
        return rows.flatten(), tokens.flatten()

    def best(self) -> list[Finished]:
        """The best finished sequence of each group."""
        return [finished[0] for finished in self._finished]

    def _finish(
        self,
        group: int,
        best: torch.Tensor,
        parents: torch.Tensor,
        tokens: torch.Tensor,
        ends: torch.Tensor,
    ) -> None:
        """Those of the best candidates, as many as there are beams, that end here."""
        if not self._open[group]:
            return
        kept = list(zip(best.tolist(), parents.tolist(), tokens.tolist(), ends.tolist(), strict=True))
        for score, parent, token, ended in kept[: self.config.beams]:
            if ended:
                ids = self._ids[group][parent] + (() if token == self.eos else (token,))
                self._finished[group].append(Finished(self._weighed(score), ids))
        ranked = sorted(self._finished[group], key=lambda one: one.score, reverse=True)
        self._finished[group] = ranked[: self.config.beams]

    def _close(self, group: int) -> None:
        finished = self._finished[group]
        if len(finished) == self.config.beams:
            hoped = self._weighed(float(self._scores[group, 0]))
            self._open[group] = self._open[group] and hoped > finished[-1].score

    def _weighed(self, score: float) -> float:
        return float(score / self.length**self.config.length_penalty)
