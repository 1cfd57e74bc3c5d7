"""What a step minimises: an objective turns a batch into a weight, a loss sum and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from tessera.models.contrastive import ContrastivePair
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.packing.pack import Pack
from tessera.train.losses import next_token_loss, symmetric_contrastive_loss
from tessera.train.pairs import PairBatch


@dataclass(frozen=True)
class Counts:
    """What a batch holds; `trained` are supervised tokens (pairs for the contrastive objective)."""

    samples: int = 0
    tokens: int = 0
    tiles: int = 0
    trained: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))


class Objective(Protocol):
    """Weight first (no forward pass needed), then the sum to divide."""

    def weight(self, batch: Any) -> float:
        """The batch's share of the normaliser."""

    def loss_sum(self, batch: Any, device: torch.device) -> torch.Tensor:
        """Loss times weight, summed: float32 scalar with a graph."""

    def counts(self, batch: Any) -> Counts:
        """For telemetry."""


class ConversationObjective:
    """Next-token loss on supervised tokens of packs."""

    def __init__(self, model: VLM) -> None:
        self.model = model

    def weight(self, batch: Pack) -> float:
        """Sum of the loss weights."""
        return float(batch.weights.double().sum())

    def loss_sum(self, batch: Pack, device: torch.device) -> torch.Tensor:
        """Weighted cross-entropy, summed over the pack."""
        tiles = batch.tiles.to(device) if len(batch.tiles) else None
        ids, weights = batch.ids.to(device), batch.weights.to(device)
        return next_token_loss(self.model, ids, weights, batch.lengths, tiles)

    def counts(self, batch: Pack) -> Counts:
        """Samples, tokens, tiles and supervised tokens."""
        return Counts(len(batch.lengths), sum(batch.lengths), sum(batch.tiles_per_sample), sum(batch.trained))


class ContrastiveObjective:
    """Symmetric image-text loss, and the same loss between regions and the phrases that name them."""

    def __init__(self, model: ContrastivePair, region_share: float) -> None:
        self.model = model
        self.region_share = region_share

    def weight(self, batch: PairBatch) -> float:
        """Pictures in the batch."""
        return float(len(batch.tiles))

    def loss_sum(self, batch: PairBatch, device: torch.device) -> torch.Tensor:
        """Loss per picture times pictures."""
        model = self.model
        whole, patches = model.encode_images(batch.tiles.to(device))
        captions = model.encode_texts(batch.caption_ids.to(device), Packed(batch.caption_lengths))
        loss = symmetric_contrastive_loss(whole, captions, model.scale(), batch.caption_match.to(device))
        if self.region_share:
            regions = model.encode_regions(
                patches, batch.region_owner.to(device), batch.region_cover.to(device)
            )
            phrases = model.encode_texts(batch.phrase_ids.to(device), Packed(batch.phrase_lengths))
            dense = symmetric_contrastive_loss(regions, phrases, model.scale(), batch.region_match.to(device))
            loss = (1 - self.region_share) * loss + self.region_share * dense
        return loss * len(batch.tiles)

    def counts(self, batch: PairBatch) -> Counts:
        """Pictures, text tokens, tiles and region-phrase pairs."""
        tokens = len(batch.caption_ids) + len(batch.phrase_ids)
        return Counts(len(batch.tiles), tokens, len(batch.tiles), len(batch.region_owner))
