"""Answers stay what they were, whatever the form of the pictures (InternVL3.5, ViCO's first stage)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from tessera.models.vlm import VLM
from tessera.packing.pack import Pack
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.resolution.coarsening import Forms, coarsened, seen, states_in_forms
from tessera.train.objective.resolution.reference import divergences, open_reference


class ConsistencyObjective(ConversationObjective):
    """KL divergence of the next-token distributions from those of a frozen reference, which sees all pictures
    fine; the tiles of a sample are all fine or all coarse, by a draw."""

    kind: Literal["consistency"] = "consistency"  # type: ignore[assignment]
    reference: str
    """Folder or hub name of the model that is imitated, mostly the one that training starts from."""
    coarse_share: float = Field(default=0.5, ge=0, le=1)
    """How often the tiles of a sample are coarse."""

    def loss_sum(self, model: VLM, batch: Pack, device: torch.device) -> torch.Tensor:
        """Weighted sum of the divergences at supervised tokens, float32 scalar on `device`."""
        forms = Forms.of(model)
        drawn = (torch.rand(len(batch.lengths)) < self.coarse_share).tolist()
        coarse = [few for few, tiles in zip(drawn, batch.tiles_per_sample, strict=True) for _ in range(tiles)]
        found = self.divergence(model, batch, coarse, forms, device)
        return (found * batch.weights[batch.weights > 0].to(device)).sum()

    def divergence(
        self, model: VLM, batch: Pack, coarse: list[bool], forms: Forms, device: torch.device
    ) -> torch.Tensor:
        """Of each supervised token, float32 [R], where these tiles are coarse."""
        reference = open_reference(self.reference, device, model.decoder.norm.weight.dtype)
        with torch.no_grad():
            fine = [False] * len(coarse)
            told = states_in_forms(reference, batch, seen(reference, batch, device), fine, device)
        states = states_in_forms(
            model, coarsened(batch, coarse, forms), seen(model, batch, device), coarse, device
        )
        return divergences(model.decoder.lm_head, states, reference.decoder.lm_head, told)
