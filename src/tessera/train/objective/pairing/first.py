"""Stage 1: pictures and texts meet in one space, half of the patches hidden for most of the way."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from tessera.models.pair.pair import QllamaPair
from tessera.nn.attention.layout import Packed
from tessera.train.objective.pairing.batches import TextPairBatch
from tessera.train.objective.pairing.gathering import together
from tessera.train.objective.pairing.learner import PairModelLearner
from tessera.train.objective.pairing.losses import contrastive_loss
from tessera.train.objective.pairing.stage import PairStage


class PairContrastObjective(PairStage):
    """Symmetric cross-entropy between the ViT's pooled pictures and LLaMA's texts (InternVL-C)."""

    kind: Literal["pair_contrast"] = "pair_contrast"
    masked: float = Field(default=0.0, ge=0, lt=1)
    """Share of the patches that the ViT doesn't see, drawn for every picture (0.5 in the paper)."""
    side: int | None = Field(default=None, gt=0)
    """Side of the square in pixels, to which positions are resized in every pass; None the model's own."""
    soft: bool = False
    """Pairs of one `image_id` are all right, instead of each its own alone. Drawn pictures are alike where
    their captions are."""

    @property
    def share_masked(self) -> float:
        return self.masked

    def side_of(self, learner: PairModelLearner) -> int:
        """The stage's own. ValueError where it is no multiple of a patch."""
        side, patch = self.side or super().side_of(learner), learner.reading.config.vision.patch_size
        if side % patch:
            raise ValueError(f"side = {side}: patches of {patch} px don't fill it; give a multiple")
        return side

    def loss_sum(self, model: QllamaPair, batch: TextPairBatch, device: torch.device) -> torch.Tensor:
        """Loss per pair times pairs."""
        images = model.project_images(model.look(batch.tiles.to(device), batch.kept))
        texts = model.project_texts(batch.contrast.ids.to(device), Packed(batch.contrast.lengths))
        loss = contrastive_loss(
            F.normalize(images, dim=-1),
            F.normalize(texts, dim=-1),
            model.scale(),
            batch.image_ids if self.soft else None,
            ranks=together(model.training),
        )
        return loss * batch.size
