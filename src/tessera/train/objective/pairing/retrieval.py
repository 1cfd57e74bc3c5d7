"""The fine-tune for retrieval: contrast of both image branches with soft targets, and matching."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F

from tessera.models.pair.pair import QllamaPair
from tessera.train.objective.pairing.batches import TextPairBatch
from tessera.train.objective.pairing.gathering import together
from tessera.train.objective.pairing.losses import contrastive_loss, matching_loss
from tessera.train.objective.pairing.second import TaskTexts, last_states, read_together
from tessera.train.objective.pairing.stage import PairStage


class PairRetrievalObjective(PairStage):
    """Every picture is matched with a caption of another and with its own. Captions whose pictures share an
    `image_id` share the target of the contrast, which stands for the queries and for the ViT alone."""

    kind: Literal["pair_retrieval"] = "pair_retrieval"
    clean: bool = True
    TASKS: ClassVar[bool] = True

    def loss_sum(self, model: QllamaPair, batch: TextPairBatch, device: torch.device) -> torch.Tensor:
        """Sum of the means, times pairs."""
        contrast, matching = self.losses(model, batch, device)
        return (contrast + matching) * batch.size

    def losses(
        self, model: QllamaPair, batch: TextPairBatch, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Contrast of both branches, added up, and matching."""
        assert batch.matching is not None and batch.other is not None
        count = batch.size
        states = model.look(batch.tiles.to(device), batch.kept)
        read = read_together(
            model,
            states,
            3 * count,
            [
                TaskTexts(batch.other, range(count), "matching"),
                TaskTexts(batch.matching, range(count, 2 * count), "matching"),
                TaskTexts(batch.contrast, range(2 * count, 3 * count), "contrast"),
            ],
        )
        said = F.normalize(model.project_states(last_states(read.texts[2], batch.contrast.lengths)), dim=-1)
        ranks, scale = together(model.training), model.scale()
        branches = (model.clip_projector2(read.queries[2 * count :]), model.clip_projector(states))
        contrast = sum(
            contrastive_loss(F.normalize(seen, dim=-1), said, scale, batch.image_ids, ranks=ranks)
            for seen in branches
        )
        fits = torch.arange(2 * count) >= count
        return torch.as_tensor(contrast), matching_loss(model.itm_head(read.queries[: 2 * count]), fits)
