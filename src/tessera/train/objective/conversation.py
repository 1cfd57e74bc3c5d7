"""Conversations: the next-token loss on the supervised tokens of packs."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from tessera.curation.check import check_sources
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.packing.index import open_index
from tessera.packing.loader import PackLoader
from tessera.packing.pack import Pack
from tessera.records.manifest import PlaygroundSource, read_meta
from tessera.records.open import open_sources
from tessera.records.source import WeightedSource
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress, silent
from tessera.train.objective.contract import Checked, Counts, Place, StageData
from tessera.train.objective.learner import ChatLearner
from tessera.train.work import estimate_work

CHUNK = 8192
"""Supervised tokens whose logits exist at one time."""


class ConversationObjective(Config):
    """Learn the answers: next-token loss, weighted as `packing.averaging` says."""

    kind: Literal["conversation"] = "conversation"
    learner: ClassVar[type[ChatLearner]] = ChatLearner

    def check(self, data: StageData, learner: ChatLearner, progress: Progress = silent) -> Checked:
        """Every record of every source. Raises DataError with all faults."""
        packing = data.packing
        checked, report = check_sources(_open(data), learner.encoder, packing, progress)
        for entry in checked:  # once here, with a bar; the loader finds it in the cache
            open_index(entry, learner.encoder, packing.workers, progress)
        return checked, report

    def loader(
        self, data: StageData, learner: ChatLearner, sources: tuple[WeightedSource, ...], place: Place
    ) -> PackLoader:
        """Packs of one rank."""
        return PackLoader(
            sources,
            learner.encoder,
            data.packing.model_copy(update={"seed": place.derive(data.packing.seed)}),
            rank=place.ranks.rank,
            world=place.ranks.world,
            packs_per_step=data.accumulate,
            work=estimate_work(learner.model, learner.encoder.tiling.tile_side),
        )

    def weight(self, batch: Pack) -> float:
        """Sum of the loss weights."""
        return float(batch.weights.double().sum())

    def loss_sum(self, model: VLM, batch: Pack, device: torch.device) -> torch.Tensor:
        """Weighted sum of the next-token cross-entropies (facts 6.5), float32 scalar on `device`.

        Only rows with a weight pass through the last block and meet the vocabulary, CHUNK at a time.
        """
        targets = batch.weights.nonzero()[:, 0]  # on the CPU: a device would have to be waited for
        rows, ids, weights = (x.to(device) for x in (targets - 1, batch.ids[targets], batch.weights[targets]))
        tiles = batch.tiles.to(device) if len(batch.tiles) else None
        hidden = model(batch.ids.to(device), Packed(batch.lengths), tiles=tiles, rows=rows)
        if len(targets) <= CHUNK:
            return _cross_entropy_sum(model, hidden, ids, weights)
        total = hidden.new_zeros((), dtype=torch.float32)
        for chunk in zip(hidden.split(CHUNK), ids.split(CHUNK), weights.split(CHUNK), strict=True):
            total = total + checkpoint(_cross_entropy_sum, model, *chunk, use_reentrant=False)
        return total

    def counts(self, batch: Pack) -> Counts:
        """Samples, tokens, tiles and supervised tokens."""
        return Counts(len(batch.lengths), sum(batch.lengths), sum(batch.tiles_per_sample), sum(batch.trained))


def _cross_entropy_sum(
    model: VLM, rows: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    losses = F.cross_entropy(model.logits(rows).float(), targets, reduction="none")
    return (losses * weights).sum()


def _open(data: StageData) -> tuple[WeightedSource, ...]:
    """All sources of a stage, meta files opened."""
    return open_sources(
        [
            spec
            for source in data.sources
            for spec in ((source,) if isinstance(source, PlaygroundSource) else read_meta(source.meta))
        ]
    )
