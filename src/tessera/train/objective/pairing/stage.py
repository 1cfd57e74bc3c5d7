"""What all stages of the pair share: where pairs come from, and how they become batches."""

from __future__ import annotations

from math import ceil
from typing import ClassVar

import torch
from pydantic import Field

from tessera.records.manifest import PlaygroundSource
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.contract import Checked, Counts, Sources, StageData
from tessera.train.objective.pairing.batches import TextPairBatch, TextPairMaker
from tessera.train.objective.pairing.crops import Crops
from tessera.train.objective.pairing.learner import PairModelLearner
from tessera.train.objective.pairing.samples import PairStream, open_pairs
from tessera.train.objective.pairs import PairLoader
from tessera.train.parallel.ranks import Ranks


class PairStage(Config):
    """Settings of batches. Of a stage's packing `workers` and `on_fault` are used.

    Pictures of batches that are computed side by side, one for each process, are contrasted with each other:
    `pictures` times the processes are a batch as papers count it.
    """

    pictures: int = Field(default=64, gt=1)
    """Pictures in a batch of one process."""
    crops: Crops = Crops()
    clean: bool = False
    """Captions in lower case, signs as spaces, 50 words at most, as retrieval was fine-tuned."""
    TASKS: ClassVar[bool] = False
    """Whether batches hold texts for matching and captions."""
    learner: ClassVar[type[PairModelLearner]] = PairModelLearner
    batch: ClassVar[type[TextPairBatch]] = TextPairBatch

    @property
    def share_masked(self) -> float:
        """Share of patches that the ViT doesn't see."""
        return 0.0

    def side_of(self, learner: PairModelLearner) -> int:
        """Of the square, in pixels."""
        return learner.reading.config.vision.image_size

    def check(self, data: StageData, learner: PairModelLearner, progress: Progress = silent) -> Checked:
        """Every record and every picture's header: one picture, a caption, an image_id that is one.

        ValueError for settings that pairs don't have.
        """
        _require_whole(data)
        return open_pairs(data, self.clean, progress)

    def loader(
        self,
        data: StageData,
        learner: PairModelLearner,
        sources: Sources,
        seeds: tuple[int, int],
        ranks: Ranks,
    ) -> PairLoader:
        """Batches of one rank."""
        drawn = tuple(source for source in data.sources if isinstance(source, PlaygroundSource))
        maker = TextPairMaker(
            stream=PairStream(drawn, sources, derive_seed("stage", *seeds), self.clean),
            texts=learner.texts,
            pictures=self.pictures,
            side=self.side_of(learner),
            patch=learner.reading.config.vision.patch_size,
            crops=self.crops,
            masked=self.share_masked,
            tasks=self.TASKS,
        )
        return PairLoader(maker, data.packing.workers, ranks, data.accumulate)

    def batches_per_pass(self, data: StageData, learner: PairModelLearner, sources: Sources) -> float:
        """Batches that all records fill. ValueError for drawn pairs, which never end."""
        if any(isinstance(source, PlaygroundSource) for source in data.sources):
            raise ValueError(f"stage {data.name!r}: epochs can't be counted, for drawn pairs never end")
        return ceil(sum(source.source.size or 0 for source in sources) / self.pictures)

    def weight(self, batch: TextPairBatch) -> float:
        """Its pictures."""
        return float(batch.size)

    def counts(self, batch: TextPairBatch) -> Counts:
        """Pictures, text tokens, tiles, and pairs, which are learned."""
        texts = (batch.contrast, batch.matching, batch.other, batch.caption)
        tokens = sum(len(rows.ids) for rows in texts if rows is not None)
        return Counts(batch.size, tokens, batch.size, batch.size)

    def keys(self, batch: TextPairBatch) -> tuple[str, ...]:
        """The number of the batch, which its pairs follow from."""
        return (f"pairs {batch.number}",)

    def alone(self, batch: TextPairBatch) -> tuple[TextPairBatch]:
        """The whole: its loss compares the pictures with each other."""
        return (batch,)

    def idle(self, model: torch.nn.Module, batch: TextPairBatch | None, tiles: bool) -> TextPairBatch:
        """A pair is not sharded: nobody waits for a rank without pictures."""
        raise ValueError("parallel: a pair is not sharded; leave shard, sequence and tensor out")


def _require_whole(data: StageData) -> None:
    """ValueError for factors beside weights: a pair's folder holds whole weights."""
    for number, rule in enumerate(getattr(data, "rules", ())):
        if rule.lora is not None:
            raise ValueError(
                f"stage {data.name!r}: rules[{number}].lora: pairs are trained whole or in part, without "
                "factors; freeze by rules instead"
            )
