"""What the pairs of a step say about how training goes."""

import torch

from tessera.train.parallel.ranks import Ranks, add_up

MEANS = (
    *("preference_loss", "quality_loss", "generation_loss"),
    *("reward_chosen", "reward_rejected", "margin", "accuracy", "length_chosen", "length_rejected"),
)
"""Means over pairs. Rewards are those that the losses see; accuracy is the share with a margin above 0."""


class PairFigures:
    """Adds up over the batches of a step on the device; nothing is waited for."""

    def __init__(self, device: torch.device) -> None:
        self._none = torch.zeros(len(MEANS) + 7, dtype=torch.float64, device=device)
        self._sums = self._none

    def add(
        self,
        terms: torch.Tensor,
        rewards: torch.Tensor,
        drift: torch.Tensor,
        lengths: torch.Tensor,
        real: torch.Tensor,
    ) -> None:
        """Pairs of a batch: losses [N, 3]; rewards, log pi_0 - log pi of answers, and lengths [N, 2]; 1 for
        each that counts and 0 for others [N]."""
        margin = rewards[:, 0] - rewards[:, 1]
        longer = lengths[:, 0] - lengths[:, 1]
        means = [*terms.T, *rewards.T, margin, (margin > 0).double(), *lengths.T]
        spread = [margin**2, longer, longer**2, margin * longer]
        rows = [*means, torch.ones_like(margin), *spread, drift.sum(1), lengths.sum(1)]
        self._sums = self._sums + torch.stack(rows) @ real

    def take(self, ranks: Ranks) -> dict[str, torch.Tensor]:
        """Of all ranks since the last time.

        kl: mean of log pi_0 - log pi over tokens, which for answers drawn from the reference estimates how
        far the model went from it. length_pull: correlation of margin and how much longer the chosen answer
        is; near 1 the model learns length.
        """
        sums, self._sums = add_up(self._sums, ranks), self._none
        pairs = sums[len(MEANS)].clamp(min=1)
        means = dict(zip(MEANS, sums[: len(MEANS)] / pairs, strict=True))
        squared, longer, squared_longer, product, drift, tokens = sums[len(MEANS) + 1 :]
        margin, longer = means["margin"], longer / pairs
        spreads = (squared / pairs - margin**2) * (squared_longer / pairs - longer**2)
        pull = (product / pairs - margin * longer) / spreads.clamp(min=1e-12).sqrt()
        return means | {"length_pull": pull.clamp(-1, 1), "kl": drift / tokens.clamp(min=1)}
