"""Pairs of answers: prefer the chosen one, judge both, and keep saying it (MPO, arXiv 2411.10442)."""

from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, PrivateAttr, model_validator

from tessera.models.vlm import VLM
from tessera.packing.pack import Pack
from tessera.train.objective.answers import answer_logprobs
from tessera.train.objective.contract import Beginning
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.preferences.figures import PairFigures
from tessera.train.objective.preferences.losses import PreferenceKind, preference_loss, quality_loss
from tessera.train.objective.preferences.reference import (
    Reference,
    ReferenceKind,
    no_reference,
    open_reference,
)
from tessera.train.objective.preferences.table import ReferenceTable
from tessera.train.parallel.ranks import ALONE, Ranks, add_up


class PreferenceObjective(ConversationObjective):
    """Learn from pairs: a weighted sum of three losses, meaned over pairs.

    The defaults are MPO's. Settings of others: `METHODS`.
    """

    kind: Literal["preference"] = "preference"  # type: ignore[assignment]
    pairs: ClassVar[bool] = True
    beta: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    """What ratios of log-probabilities are multiplied by to be rewards."""
    preference: float = Field(default=0.8, ge=0, allow_inf_nan=False)
    """Weight of the loss that compares both answers."""
    quality: float = Field(default=0.2, ge=0, allow_inf_nan=False)
    """Weight of the loss that judges each alone, against the running mean of rewards (BCO)."""
    generation: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Weight of the chosen answer's cross-entropy, meaned over its tokens."""
    compare: PreferenceKind = "sigmoid"
    """Which loss compares: DPO's, hinge or IPO's."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of pairs that count as if they were the wrong way round; of the sigmoid loss."""
    margin: float = Field(default=0.0, allow_inf_nan=False)
    """Reward by which the chosen answer is to be ahead (SimPO's gamma)."""
    length_normalised: bool = False
    """Log-probabilities are meaned over an answer's tokens instead of summed."""
    reference: ReferenceKind = "auto"
    """Where the model that answers are compared with comes from (docs/align.md)."""

    @model_validator(mode="after")
    def _learns_something(self) -> Self:
        if not (self.preference or self.quality or self.generation):
            raise ValueError("preference, quality and generation are all 0: nothing is learned")
        if self.label_smoothing and self.compare != "sigmoid":
            raise ValueError(f"label_smoothing = {self.label_smoothing}: {self.compare} has none; leave it 0")
        return self

    def begin(self, beginning: Beginning) -> "RunningPreference":
        """With the reference that the stage starts from."""
        reference = open_reference(self.reference, self, beginning)
        return RunningPreference.comparing(self, reference, beginning.mesh.data, beginning.device)

    def assumed(self, device: torch.device) -> "RunningPreference":
        """As if nothing was compared."""
        return RunningPreference.comparing(self, no_reference, ALONE, device)

    def beside(self, weights: int) -> int:
        """Those of a second copy. `auto` is taken to find its table, or to train factors alone."""
        return weights if self.reference == "copy" else 0

    def weight(self, batch: Pack) -> float:
        """Its pairs."""
        return float(_real_pairs(batch).sum())

    def loss_sum(self, model: VLM, batch: Pack, device: torch.device) -> torch.Tensor:
        """Only what has begun has a reference."""
        raise ValueError("objective: a preference loss needs a reference; call begin first")

    def idle(self, model: VLM, batch: Pack | None, tiles: bool) -> Pack:
        """The batch, or a pair that counts nowhere; with `tiles` beside a tile that belongs to no sample."""
        if batch is not None:
            return super().idle(model, batch, tiles)
        ids, weights = torch.zeros(3, dtype=torch.int64), torch.tensor([0.0, 1.0, 1.0])
        pixels = super().idle(model, None, tiles).tiles
        return Pack(ids, weights, (3,), pixels, ("",), (0,), (2,), branches=((1, 1),))


_COMPARED = {"preference": 1.0, "quality": 0.0, "generation": 0.0}
METHODS: dict[str, dict[str, Any]] = {
    "mpo": {},
    "dpo": _COMPARED,
    "bco": {"preference": 0.0, "quality": 1.0, "generation": 0.0},
    "ipo": {**_COMPARED, "compare": "ipo", "length_normalised": True},
    "hinge": {**_COMPARED, "compare": "hinge"},
    "simpo": {**_COMPARED, "beta": 2.0, "margin": 1.0, "length_normalised": True, "reference": "none"},
}
"""Settings of an objective by the name of their method."""


class RunningPreference(PreferenceObjective):
    """With its reference, and the running mean of rewards."""

    _reference: Reference = PrivateAttr()
    _ranks: Ranks = PrivateAttr()
    _seen: torch.Tensor = PrivateAttr()
    """Sum of the rewards of all pairs so far, each the mean of its two, and their number."""
    _figures: PairFigures = PrivateAttr()

    @classmethod
    def comparing(
        cls, objective: PreferenceObjective, reference: Reference, ranks: Ranks, device: torch.device
    ) -> Self:
        """With a reference, on the device of one of the ranks that have packs of their own."""
        running = cls(**objective.model_dump())
        running._reference, running._ranks = reference, ranks
        running._seen = torch.zeros(2, dtype=torch.float64, device=device)
        running._figures = PairFigures(device)
        return running

    def loss_sum(self, model: VLM, batch: Pack, device: torch.device) -> torch.Tensor:
        """Sum over pairs of the weighted losses, float32 scalar on `device`.

        In training the running mean takes in the pairs of all ranks before it is used.
        """
        found = answer_logprobs(model, batch, device)
        sums, lengths = found.sums.view(-1, 2), found.lengths.view(-1, 2)
        ratios = sums - self._reference(model, batch, device).view(-1, 2)
        real = _real_pairs(batch).to(device)
        scaled = ratios / lengths if self.length_normalised else ratios
        rewards = self.beta * scaled.detach()
        if model.training:
            self._take_in(rewards, real)
        terms = self._terms(scaled, -(sums / lengths)[:, 0])
        if model.training:
            self._figures.add(terms.detach(), rewards, -ratios.detach(), lengths, real)
        weights = terms.new_tensor([self.preference, self.quality, self.generation])
        return (terms * weights).sum().float()

    @property
    def mean_reward(self) -> torch.Tensor:
        """BCO's delta, a float64 scalar: the plain mean over all pairs so far, 0 before the first."""
        return self._seen[0] / self._seen[1].clamp(min=1)

    def _terms(self, ratios: torch.Tensor, surprise: torch.Tensor) -> torch.Tensor:
        """The three losses of each pair, float64 [N, 3], of ratios [N, 2] and the chosen answers' mean
        cross-entropy [N]."""
        chosen, rejected = ratios.unbind(1)
        compared = preference_loss(
            self.compare, chosen, rejected, self.beta, self.label_smoothing, self.margin
        )
        judged = quality_loss(chosen, rejected, self.beta, self.mean_reward)
        return torch.stack([compared, judged, surprise], 1)

    def _take_in(self, rewards: torch.Tensor, real: torch.Tensor) -> None:
        """Rewards [N, 2] of this rank's pairs as far as they are `real`, and those of the others."""
        own = torch.stack([(rewards.mean(1) * real).sum(), real.sum()])
        self._seen += add_up(own, self._ranks)

    def held_out(self, beginning: Beginning) -> Self:
        """With the same running mean; a table is one of these sources."""
        other = self.model_copy()
        if isinstance(self._reference, ReferenceTable):
            other._reference = open_reference("cached", self, beginning)
        return other

    def state_dict(self) -> dict[str, float]:
        """The running mean, as a sum and a count."""
        total, pairs = self._seen.tolist()
        return {"rewards": total, "pairs": pairs}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from there."""
        self._seen.copy_(self._seen.new_tensor([state["rewards"], state["pairs"]]))

    def figures(self) -> dict[str, torch.Tensor]:
        """Losses, rewards, margin, lengths and drift of the step's pairs, and the running mean."""
        return self._figures.take(self._ranks) | {"mean_reward": self.mean_reward}


def _real_pairs(batch: Pack) -> torch.Tensor:
    """float64 [N]: 1 for a pair of the data, 0 for one of an idle rank, which has no key."""
    found = [float(bool(key)) for key, own in zip(batch.keys, batch.branches, strict=False) if own]
    return torch.tensor(found, dtype=torch.float64)
