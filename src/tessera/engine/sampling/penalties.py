"""Scores of single tokens raised or lowered: logit bias, what was said before, ends that come too early.

The order is that of transformers and vLLM: bias, repetition, then frequency and presence.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import torch

from tessera.engine.sampling.cuts import OFF
from tessera.engine.sampling.options import Sampling


class Penalties:
    """What one request changes in its scores. `take` tells it the tokens of the answer, one by one.

    repetition_penalty counts prompt and answer (Keskar et al. 2019, and transformers); presence and frequency
    the answer alone (OpenAI's API). ends: tokens that end the answer, which wait for `min_new_tokens`.
    """

    def __init__(self, sampling: Sampling, prompt: Sequence[int], ends: Collection[int] = ()) -> None:
        self._sampling = sampling
        self._repeats = sampling.repetition_penalty != 1.0
        self._counts = sampling.presence_penalty != 0.0 or sampling.frequency_penalty != 0.0
        self._asked = set(prompt) if self._repeats else set()
        self._prompt = torch.tensor(sorted(self._asked), dtype=torch.int64)
        self._said: Counter[int] = Counter()
        bias = dict(sampling.logit_bias)
        self._biased = torch.tensor(list(bias), dtype=torch.int64)
        self._bias = torch.tensor(list(bias.values()))
        self._early = sampling.min_new_tokens
        self._ends = torch.tensor(sorted(ends), dtype=torch.int64)
        self.idle = not (self._repeats or self._counts or bias or self._early)
        """Whether nothing is ever changed."""

    def take(self, token: int) -> None:
        """The answer goes on with this token."""
        self._early -= self._early > 0
        if self._repeats or self._counts:
            self._said[token] += 1

    def apply(self, scores: torch.Tensor) -> None:
        """Change raw scores float32 [V] in place."""
        sampling, device = self._sampling, scores.device
        if len(self._biased):
            scores[self._biased.to(device)] += self._bias.to(device)
        if self._repeats:
            fresh = torch.tensor([t for t in self._said if t not in self._asked], dtype=torch.int64)
            parts = self._prompt, fresh
            seen = torch.cat(parts).to(device)
            past, factor = scores[seen], sampling.repetition_penalty
            scores[seen] = torch.where(past < 0, past * factor, past / factor)
        if self._counts and self._said:
            seen = torch.tensor(list(self._said), device=device)
            times = torch.tensor(list(self._said.values()), device=device)
            scores[seen] -= sampling.frequency_penalty * times + sampling.presence_penalty
        if self._early:
            scores[self._ends.to(device)] = OFF
