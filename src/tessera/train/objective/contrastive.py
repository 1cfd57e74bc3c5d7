"""Pictures and texts that belong together: the contrastive start of a ViT."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field

from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.bases.assembly import Assembly
from tessera.checkpoints.surgery import save_part
from tessera.curation.check import CheckReport
from tessera.models.config import VLMConfig
from tessera.models.contrastive import ContrastiveConfig, ContrastivePair
from tessera.models.initialise import initialise
from tessera.nn.attention.layout import Packed
from tessera.records.manifest import PlaygroundSource
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.contract import Checked, Counts, Sources, StageData, Tensors
from tessera.train.objective.learner import Start, assemble
from tessera.train.objective.pairs import PairBatch, PairLoader, PairMaker, shows_one_picture
from tessera.train.parallel.ranks import Ranks

TEXT_TOWER_LAYERS = 2


@dataclass(frozen=True)
class PairLearner:
    """A ViT and a throw-away text tower; what is saved is the ViT."""

    model: ContrastivePair
    tokenizer: Tokenizer

    @classmethod
    def start(cls, start: Start, seed: int, still: Callable[[str], bool] | None = None) -> Self:
        """Fresh towers as wide as the family's own, with the parts that `start` names laid over them."""
        if start.checkpoint:
            raise ValueError(
                f"start.checkpoint = {start.checkpoint!r}: a contrastive run trains two towers; "
                "leave it out, or give start.vision"
            )
        if start.adapter or start.frozen != "stored":
            raise ValueError("start.adapter, start.frozen: they belong to a chat model; leave them out")
        if start.decoder:
            raise ValueError(
                f"start.decoder = {start.decoder!r}: contrastive runs have a text tower of their own"
            )
        if start.add_tokens:
            raise ValueError(
                "start.add_tokens: two towers have no rows for new tokens; add them to a chat model"
            )
        parts = assemble(start)
        model = ContrastivePair(towers(start, parts))
        initialise(model, derive_seed("initialise", seed) % 2**31)
        parts.lay_vision(model)
        return cls(model, parts.tokenizer)

    def save(self, folder: Path, card: dict[str, object], tensors: Tensors) -> None:
        """The ViT alone."""
        save_part(self.model, "vision", folder, card=card, tensors=tensors)


def towers(start: Start, parts: Assembly) -> ContrastiveConfig:
    """Shapes of the family's ViT and of a shallow text tower as wide as its decoder. ValueError for a family
    without an InternViT."""
    if not isinstance(parts.family.model, VLMConfig):
        raise ValueError(f"start.family = {start.family!r}: contrastive runs train an InternViT")
    vision, decoder = parts.family.model.vision, parts.family.model.decoder
    text = decoder.model_copy(update={"num_hidden_layers": TEXT_TOWER_LAYERS})
    return ContrastiveConfig(vision=vision, text=text, width=decoder.hidden_size)


class ContrastiveObjective(Config):
    """Learn from drawn pictures with captions: of the stage's packing only `workers` is used."""

    kind: Literal["contrastive"] = "contrastive"
    pictures: int = Field(default=64, gt=1)
    """Pictures in a batch."""
    region_share: float = Field(default=0.5, ge=0, le=1)
    """Weight of the region-phrase loss; the rest is the whole-picture loss."""
    learner: ClassVar[type[PairLearner]] = PairLearner
    batch: ClassVar[type[PairBatch]] = PairBatch

    def check(self, data: StageData, learner: PairLearner, progress: Progress = silent) -> Checked:
        """Drawn pairs are right by construction; other sources are refused."""
        _drawn(data)
        return (), CheckReport()

    def loader(
        self, data: StageData, learner: PairLearner, sources: Sources, seeds: tuple[int, int], ranks: Ranks
    ) -> PairLoader:
        """Batches of one rank."""
        vision = learner.model.config.vision
        sizes, seed = (self.pictures, vision.image_size, vision.grid), derive_seed("stage", *seeds)
        maker = PairMaker(_drawn(data), learner.tokenizer, *sizes, seed)
        return PairLoader(maker, data.packing.workers, ranks, data.accumulate)

    def batches_per_pass(self, data: StageData, learner: PairLearner, sources: Sources) -> float:
        """Drawn pairs never end: ValueError."""
        raise ValueError(f"stage {data.name!r}: epochs can't be counted, for pairs never end; give steps")

    def weight(self, batch: PairBatch) -> float:
        """Pictures in the batch."""
        return float(len(batch.tiles))

    def loss_sum(self, model: ContrastivePair, batch: PairBatch, device: torch.device) -> torch.Tensor:
        """Loss per picture times pictures: the symmetric image-text loss, and the same loss between regions
        and the phrases that name them."""
        whole, patches = model.encode_images(batch.tiles.to(device))
        captions = model.encode_texts(batch.caption_ids.to(device), Packed(batch.caption_lengths))
        loss = symmetric_contrastive_loss(whole, captions, model.scale(), batch.caption_match)
        if self.region_share:
            regions = model.encode_regions(
                patches, batch.region_owner.to(device), batch.region_cover.to(device)
            )
            phrases = model.encode_texts(batch.phrase_ids.to(device), Packed(batch.phrase_lengths))
            dense = symmetric_contrastive_loss(regions, phrases, model.scale(), batch.region_match)
            loss = (1 - self.region_share) * loss + self.region_share * dense
        return loss * len(batch.tiles)

    def counts(self, batch: PairBatch) -> Counts:
        """Pictures, text tokens, tiles and region-phrase pairs."""
        tokens = len(batch.caption_ids) + len(batch.phrase_ids)
        return Counts(len(batch.tiles), tokens, len(batch.tiles), len(batch.region_owner))

    def keys(self, batch: PairBatch) -> tuple[str, ...]:
        """The number of the batch, which its pictures follow from."""
        return (f"pairs {batch.number}",)

    def alone(self, batch: PairBatch) -> tuple[PairBatch]:
        """The whole: its loss compares the pictures with each other."""
        return (batch,)

    def idle(self, model: ContrastivePair, batch: PairBatch | None, tiles: bool) -> PairBatch:
        """Two towers are not sharded: nobody waits for a rank without pictures."""
        raise ValueError("parallel: two towers are not sharded; leave shard, sequence and tensor out")


def symmetric_contrastive_loss(
    left: torch.Tensor, right: torch.Tensor, scale: torch.Tensor, match: torch.Tensor
) -> torch.Tensor:
    """Mean over both directions of the softmax cross-entropy between two sets of unit vectors.

    left [A, D], right [B, D], scale the inverse temperature; match bool [A, B] marks the pairs that belong
    together. It lies on the CPU, so that no device is waited for. Several matches in a row share the target
    evenly. Rows without a match don't count.
    """
    scores = (left @ right.t()).float() * scale.float()
    return 0.5 * (matched_loss(scores, match) + matched_loss(scores.t(), match.t()))


def matched_loss(scores: torch.Tensor, match: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Mean cross-entropy of the rows of scores float32 [A, B] that have a match, bool [A, B] on the CPU.

    smoothing: share of the target that goes to all columns evenly.
    """
    rows = match.any(1).nonzero()[:, 0]
    target = match[rows].float()
    target = (1 - smoothing) * target / target.sum(1, keepdim=True) + smoothing / match.shape[1]
    rows, target = rows.to(scores.device), target.to(scores.device)
    return -(target * F.log_softmax(scores[rows], dim=1)).sum() / max(1, len(rows))


def _drawn(data: StageData) -> tuple[PlaygroundSource, ...]:
    drawn = tuple(source for source in data.sources if isinstance(source, PlaygroundSource))
    if len(drawn) < len(data.sources):
        raise ValueError(f"stage {data.name!r}: contrastive stages draw their pairs; use PlaygroundSource")
    for source in drawn:
        if odd := [suite for suite in source.suites if not shows_one_picture(suite)]:
            raise ValueError(
                f"stage {data.name!r}: source {source.name!r}: suites {', '.join(odd)} show a clip or "
                "several pictures, and pairs have one; leave them out of `suites`"
            )
    return drawn
