"""Conversations: the next-token loss on the supervised tokens of packs."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from tessera.chat.encoder import Encoder
from tessera.families.family import Family
from tessera.imaging.grid import Tiling
from tessera.imaging.one_square import Square
from tessera.models.vlm import VLM
from tessera.nn.cross_entropy import cross_entropy_sum
from tessera.nn.experts.routing import Router
from tessera.packing.config import Limits
from tessera.packing.loader import PackLoader
from tessera.packing.pack import Pack, filled, split_pack
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed
from tessera.train.objective.answers import balanced_states, layout_of, states_of
from tessera.train.objective.contract import Checked, Counts, Sources, StageData
from tessera.train.objective.learner import ChatLearner
from tessera.train.objective.records import check_records, packs_per_pass
from tessera.train.parallel.ranks import Ranks
from tessera.train.plan.flops import forward_work


class ConversationObjective(Config):
    """Learn the answers: next-token loss, weighted as `packing.averaging` says."""

    kind: Literal["conversation"] = "conversation"
    router_balance: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of a decoder with experts: what the loss that keeps them equally busy counts beside the mean loss; None
    takes the model's own `router_aux_loss_coef`."""
    learner: ClassVar[type[ChatLearner]] = ChatLearner
    batch: ClassVar[type[Pack]] = Pack
    pairs: ClassVar[bool] = False
    """Whether records have a chosen and a rejected answer, or one."""

    @model_validator(mode="after")
    def _balanced(self) -> ConversationObjective:
        if self.router_balance is not None and self.kind != "conversation":
            raise ValueError(
                f"router_balance = {self.router_balance}: a stage of {self.kind} has no balance loss; "
                "leave it out"
            )
        return self

    template: str | None = None
    """Conversation template of this stage alone, such as `plain` for captions; None is the model's own."""
    square: Square | None = None
    """What becomes of a picture before it is one tile, in this stage alone; None as the model has it."""

    @model_validator(mode="after")
    def _of_conversations(self) -> Self:
        if self.kind != "conversation" and (self.template or self.square):
            raise ValueError("objective.template, objective.square: go with conversations; leave them out")
        return self

    def encoder(self, learner: ChatLearner) -> Encoder:
        """What reads for this stage. ValueError for a template that the model's family does not have."""
        if self.template is None and self.square is None:
            return learner.encoder
        said = {} if self.template is None else {"template": self.template}
        family, tiling = Family(**dict(learner.family) | said), learner.encoder.tiling
        if self.square is not None:
            tiling = Tiling(**dict(tiling) | {"square": self.square})
        return replace(learner.encoder, template=family.chat_template, tiling=tiling)

    def check(self, data: StageData, learner: ChatLearner, progress: Progress = silent) -> Checked:
        """Every record of every source. Raises DataError with all faults."""
        return check_records(data, self.encoder(learner), progress, pairs=self.pairs)

    def loader(
        self, data: StageData, learner: ChatLearner, sources: Sources, seeds: tuple[int, int], ranks: Ranks
    ) -> PackLoader:
        """Packs of one rank."""
        seed = derive_seed("stage", *seeds, data.packing.seed)
        return PackLoader(
            sources,
            self.encoder(learner),
            data.packing.model_copy(update={"seed": seed}),
            rank=ranks.rank,
            world=ranks.world,
            packs_per_step=data.accumulate,
            work=forward_work(learner.model.config),
        )

    def batches_per_pass(self, data: StageData, learner: ChatLearner, sources: Sources) -> float:
        """Packs that the tokens and tiles of all records fill; clips count with the mean of their frames."""
        return packs_per_pass(data, self.encoder(learner), sources)

    def weight(self, batch: Pack) -> float:
        """Sum of the loss weights."""
        return float(batch.weights.double().sum())

    def loss_sum(self, model: VLM, batch: Pack, device: torch.device) -> torch.Tensor:
        """Weighted sum of the next-token cross-entropies (docs/facts/training.md), float32 scalar on
        `device`.

        Only rows with a weight pass through the last block and meet the vocabulary, some at a time. Of a
        decoder with experts all rows do, and the balance loss of the pack counts `router_balance` times its
        weight: so it does not matter which rank or which part of a step computes it.
        """
        if batch.branches:
            raise ValueError(f"{batch.keys[0]}: several answers to one prompt; train them with preferences")
        targets = batch.weights.nonzero()[:, 0]  # on the CPU: a device would have to be waited for
        ids, weights = (x.to(device) for x in (batch.ids[targets], batch.weights[targets]))
        balance = self.balance_of(model)
        hidden, added = (
            balanced_states(model, batch, targets - 1, device, balance * self.weight(batch))
            if balance
            else (states_of(model, batch, targets - 1, device), None)
        )
        decoder = model.decoder
        loss = cross_entropy_sum(decoder.lm_head, hidden, ids, weights, decoder.config.vocab_size)
        return loss if added is None else loss + added

    def balance_of(self, model: VLM) -> float:
        """What the balance loss counts for this model: 0 without trained routers, and in measurements."""
        experts = model.config.decoder.experts
        if experts is None or not torch.is_grad_enabled():
            return 0.0
        if not any(part.weight.requires_grad for part in model.modules() if isinstance(part, Router)):
            return 0.0
        return experts.balance if self.router_balance is None else self.router_balance

    def counts(self, batch: Pack) -> Counts:
        """Samples, tokens, tiles, supervised tokens and pairs."""
        tokens, tiles = sum(batch.lengths), sum(batch.tiles_per_sample)
        return Counts(len(batch.lengths), tokens, tiles, sum(batch.trained), layout_of(batch).seen)

    def keys(self, batch: Pack) -> tuple[str, ...]:
        """Of its samples."""
        return batch.keys

    def alone(self, batch: Pack) -> list[Pack]:
        """A pack for each sample."""
        return split_pack(batch)

    def filled(self, model: VLM, batch: Pack, limits: Limits) -> Pack:
        """The batch in the shape of a full pack; its loss stays what it is."""
        config = model.config
        token = (config.image_token_id + 1) % config.decoder.vocab_size
        return filled(batch, limits.max_tokens, limits.max_tiles, token)

    def idle(self, model: VLM, batch: Pack | None, tiles: bool) -> Pack:
        """The batch, or two tokens; with `tiles` beside a tile that belongs to no sample."""
        side = model.config.tile_side
        pixels = torch.zeros(int(tiles), side, side, 3, dtype=torch.uint8)
        if batch is None:
            two, target = torch.zeros(2, dtype=torch.int64), torch.tensor([0.0, 1.0])
            return Pack(two, target, (2,), pixels, ("",), (0,), (1,))
        return replace(batch, tiles=pixels)
