"""A router learns which pictures lose little by few tokens (InternVL3.5, ViCO's second stage)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from tessera.models.resolution.forms import routed_scores
from tessera.models.vlm import VLM
from tessera.packing.pack import Pack
from tessera.train.objective.resolution.coarsening import Forms, seen
from tessera.train.objective.resolution.consistency import ConsistencyObjective

LEAST = 1e-6
"""Divergence of a fine sample below which the ratio is taken as if it were this."""


class RoutingObjective(ConsistencyObjective):
    """Cross-entropy of the router's two scores for every tile. Its label is coarse where the ratio of the
    divergences of its sample, all tiles coarse over all fine, lies below the `percentile` of the last ones.

    Only the router may be trained: ViT, connectors and decoder give the labels. A rank keeps its own ratios,
    and a run that goes on fills them anew.
    """

    kind: Literal["resolution"] = "resolution"  # type: ignore[assignment]
    percentile: float = Field(default=50.0, gt=0, lt=100)
    """Share of samples, in percent, that become coarse: the published targets are balanced."""
    window: int = Field(default=1024, gt=0)
    """Ratios that the percentile is taken of."""

    def weight(self, batch: Pack) -> float:
        """Its tiles, each of which is labelled; a pack without pictures teaches nothing."""
        return float(sum(batch.tiles_per_sample))

    def loss_sum(self, model: VLM, batch: Pack, device: torch.device) -> torch.Tensor:
        """Sum over tiles, float32 scalar on `device`. ValueError where more than the router is trained."""
        _require_frozen(model)
        with torch.no_grad():
            states = seen(model, batch, device)
        if states is None:
            return model.decoder.norm.weight.float().sum() * 0
        labels = self.labels(model, self.ratios(model, batch, device))
        each = labels.repeat_interleave(torch.tensor(batch.tiles_per_sample)).to(device)
        return F.cross_entropy(routed_scores(model, states), each, reduction="sum")

    @torch.no_grad()
    def ratios(self, model: VLM, batch: Pack, device: torch.device) -> torch.Tensor:
        """float32 [samples]: how much further from the reference a sample's answer is with coarse tiles."""
        forms, tiles = Forms.of(model), sum(batch.tiles_per_sample)
        owner = torch.arange(len(batch.lengths)).repeat_interleave(torch.tensor(batch.trained)).to(device)
        training = model.training
        model.eval()  # labels are without dropout
        try:
            both = [
                self.divergence(model, batch, [coarse] * tiles, forms, device) for coarse in (True, False)
            ]
        finally:
            model.train(training)
        few, many = (
            torch.zeros(len(batch.lengths), device=device).index_add(0, owner, found) for found in both
        )
        return (few / many.clamp_min(LEAST * max(1, len(owner)))).cpu()

    def labels(self, model: VLM, ratios: torch.Tensor) -> torch.Tensor:
        """int64 [samples]: 0 for coarse, 1 for fine; the ratios join those of earlier batches."""
        router = model.get_submodule("router")
        before = getattr(router, "ratios", ratios.new_zeros(0))
        known = torch.cat((before, ratios))[-self.window :]
        router.ratios = known
        limit = torch.quantile(known, self.percentile / 100)
        return (ratios >= limit).long()


def _require_frozen(model: VLM) -> None:
    trained = {name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    if trained - {"router"}:
        raise ValueError(
            f"rules: {', '.join(sorted(trained - {'router'}))} would be trained, but the labels of a router "
            r"come from parts that stay as they are: give ^router\. alone a learning rate"
        )
