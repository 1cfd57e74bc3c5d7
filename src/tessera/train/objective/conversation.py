"""Conversations: the next-token loss on the supervised tokens of packs."""

from typing import ClassVar, Literal

import numpy as np
import torch

from tessera.curation.check import check_sources
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.nn.cross_entropy import cross_entropy_sum
from tessera.packing.index import open_index
from tessera.packing.loader import PackLoader
from tessera.packing.pack import Pack, Sample, collate, join_packs, split_pack
from tessera.records.manifest import PlaygroundSource
from tessera.records.open import open_sources
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.contract import Checked, Counts, Sources, StageData
from tessera.train.objective.learner import ChatLearner
from tessera.train.parallel.ranks import Ranks
from tessera.train.plan.flops import forward_work


class ConversationObjective(Config):
    """Learn the answers: next-token loss, weighted as `packing.averaging` says."""

    kind: Literal["conversation"] = "conversation"
    learner: ClassVar[type[ChatLearner]] = ChatLearner
    batch: ClassVar[type[Pack]] = Pack

    def check(self, data: StageData, learner: ChatLearner, progress: Progress = silent) -> Checked:
        """Every record of every source. Raises DataError with all faults."""
        specs = [
            spec
            for source in data.sources
            for spec in ((source,) if isinstance(source, PlaygroundSource) else source.read())
        ]
        checked, report = check_sources(open_sources(specs), learner.encoder, data.packing, progress)
        for entry in checked:  # once here, with a bar; the loader finds it in the cache
            open_index(entry, learner.encoder, data.packing.workers, progress)
        return checked, report

    def loader(
        self, data: StageData, learner: ChatLearner, sources: Sources, seeds: tuple[int, int], ranks: Ranks
    ) -> PackLoader:
        """Packs of one rank."""
        seed = derive_seed("stage", *seeds, data.packing.seed)
        return PackLoader(
            sources,
            learner.encoder,
            data.packing.model_copy(update={"seed": seed}),
            rank=ranks.rank,
            world=ranks.world,
            packs_per_step=data.accumulate,
            work=forward_work(learner.model.config),
        )

    def batches_per_pass(self, data: StageData, learner: ChatLearner, sources: Sources) -> float:
        """Packs that the tokens and tiles of all records fill; clips count with the mean of their frames."""
        tokens = tiles = 0.0
        for entry in sources:
            index = open_index(entry, learner.encoder, data.packing.workers)
            if index is None:
                raise ValueError(
                    f"stage {data.name!r}: epochs can't be counted, for {entry.source.name} has no end, or "
                    "no lengths that are known before; give steps alone"
                )
            clips = int(index.clips.sum())
            frames = sum(entry.frames) // 2 if clips and entry.frames else 1
            tokens += entry.repeat * (int(index.tokens.sum()) + clips * int(index.frame_tokens[frames]))
            tiles += entry.repeat * (int(index.tiles.sum()) + clips * (frames - 1))
        return max(tokens / data.packing.max_tokens, tiles / max(1, data.packing.max_tiles))

    def weight(self, batch: Pack) -> float:
        """Sum of the loss weights."""
        return float(batch.weights.double().sum())

    def loss_sum(self, model: VLM, batch: Pack, device: torch.device) -> torch.Tensor:
        """Weighted sum of the next-token cross-entropies (docs/facts/training.md), float32 scalar on
        `device`.

        Only rows with a weight pass through the last block and meet the vocabulary, some at a time.
        """
        targets = batch.weights.nonzero()[:, 0]  # on the CPU: a device would have to be waited for
        rows, ids, weights = (x.to(device) for x in (targets - 1, batch.ids[targets], batch.weights[targets]))
        tiles = batch.tiles.to(device) if len(batch.tiles) else None
        places = None if batch.positions is None else batch.positions.to(device)
        hidden = model(batch.ids, Packed(batch.lengths), places, tiles, rows=rows)
        decoder = model.decoder
        return cross_entropy_sum(decoder.lm_head, hidden, ids, weights, decoder.config.vocab_size)

    def counts(self, batch: Pack) -> Counts:
        """Samples, tokens, tiles and supervised tokens."""
        return Counts(len(batch.lengths), sum(batch.lengths), sum(batch.tiles_per_sample), sum(batch.trained))

    def keys(self, batch: Pack) -> tuple[str, ...]:
        """Of its samples."""
        return batch.keys

    def alone(self, batch: Pack) -> list[Pack]:
        """A pack for each sample."""
        return split_pack(batch)

    def idle(self, model: VLM, batch: Pack | None, tiles: bool) -> Pack:
        """One tile's placeholders, if any, and two tokens; behind a batch they have no target."""
        marks, side = model.config.tokens_per_tile * tiles, model.config.tile_side
        ids = np.array([model.config.image_token_id] * marks + [0, 0], dtype=np.int32)
        weights = np.zeros(len(ids), dtype=np.float32)
        weights[-1] = batch is None
        pixels = np.zeros((int(tiles), side, side, 3), np.uint8)
        counted = None if batch is None or batch.positions is None else np.arange(len(ids), dtype=np.float32)
        alone = collate([Sample("", ids, weights, pixels, counted)])
        return alone if batch is None else join_packs(batch, alone)
