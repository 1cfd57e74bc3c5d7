"""Answers with link tokens: the next-token loss, and beside it what is wrong with their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from tessera.chat.encoder import Encoder
from tessera.curation.check import CheckReport
from tessera.models.links.config import MASKS
from tessera.models.links.maps import picture_map
from tessera.models.links.parts import LinkParts
from tessera.models.vlm import VLM
from tessera.nn.cross_entropy import cross_entropy_sum
from tessera.packing.pack import Pack
from tessera.records.faults import DataError, RecordFault
from tessera.records.masks import RecordMask, mask_fault, read_masks
from tessera.records.readers.records import RecordReader
from tessera.records.source import WeightedSource, sample_key
from tessera.runtime.config import Config
from tessera.runtime.progress import Progress, silent
from tessera.train.objective.answers import layout_of
from tessera.train.objective.contract import Checked, Counts, Sources, StageData
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.learner import ChatLearner
from tessera.train.objective.links.loader import LinkLoader
from tessera.train.objective.links.losses import dice_loss, pixel_loss
from tessera.train.objective.links.targets import LinkBatch, LinkTarget, MaskTable, PlacedMask, by_grid
from tessera.train.parallel.ranks import Ranks

WORDS = ConversationObjective()
"""What is learned of the words."""


class LinkObjective(Config):
    """Learn answers whose link tokens become masks. A mask counts as `tokens` supervised tokens.

    Its loss is `pixels` times the mean cross-entropy of its pixels and `dice` times Dice's loss.
    """

    kind: Literal["links"] = "links"
    tokens: float = Field(default=4.0, gt=0, allow_inf_nan=False)
    pixels: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    dice: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    learner: ClassVar[type[ChatLearner]] = ChatLearner
    batch: ClassVar[type[LinkBatch]] = LinkBatch

    def check(self, data: StageData, learner: ChatLearner, progress: Progress = silent) -> Checked:
        """Every record of every source, and every mask. Raises DataError with all faults."""
        parts, over_long = _parts(learner.model), data.packing.over_long
        if over_long in ("fewer_tiles", "split"):
            raise ValueError(
                f"stage {data.name!r}: packing.over_long = {over_long!r} would part answers from their "
                "masks; take 'error' or 'drop'"
            )
        checked, report = WORDS.check(data, learner, progress)
        _, faults = _table(checked, learner, parts)
        if faults and data.packing.on_fault == "error":
            raise DataError(faults)
        found = CheckReport(faults=tuple(faults))
        return tuple(_without(entry, faults) for entry in checked), report + found

    def loader(
        self, data: StageData, learner: ChatLearner, sources: Sources, seeds: tuple[int, int], ranks: Ranks
    ) -> LinkLoader:
        """Packs of one rank with their masks."""
        packs = WORDS.loader(data, learner, sources, seeds, ranks)
        return LinkLoader(packs, _table(sources, learner, _parts(learner.model))[0])

    def batches_per_pass(self, data: StageData, learner: ChatLearner, sources: Sources) -> float:
        """Packs that all records fill."""
        return WORDS.batches_per_pass(data, learner, sources)

    def weight(self, batch: LinkBatch) -> float:
        """Sum of the loss weights, and what the masks count as."""
        return WORDS.weight(batch.pack) + self.tokens * len(batch.every)

    def loss_sum(self, model: VLM, batch: LinkBatch, device: torch.device) -> torch.Tensor:
        """Weighted sums of both losses, float32 scalar; one pass through ViT and decoder for both."""
        parts, pack = _parts(model), batch.pack
        targets = pack.weights.nonzero()[:, 0]
        slots = (pack.ids >= parts.first).nonzero()[:, 0]
        rows, places = torch.cat((targets - 1, slots)).unique(return_inverse=True)
        seen, hidden = _states(model, pack, rows, device)
        words, linked = hidden[places.to(device)].split((len(targets), len(slots)))
        ids, weights = (x.to(device) for x in (pack.ids[targets], pack.weights[targets]))
        decoder = model.decoder
        loss = cross_entropy_sum(decoder.lm_head, words, ids, weights, decoder.config.vocab_size)
        if not batch.every:
            return loss
        projected = _projected(parts, pack.ids[slots], linked)
        if len(projected) != len(batch.every):
            raise ValueError(
                f"{pack.keys[0]} ...: {len(projected)} links for {len(batch.every)} masks; the records have "
                "changed since they were checked: start again"
            )
        return loss + self.tokens * self.mask_losses(parts, projected, seen, batch.every).sum()

    def mask_losses(
        self, parts: LinkParts, projected: torch.Tensor, seen: torch.Tensor, targets: list[LinkTarget]
    ) -> torch.Tensor:
        """float32 [M]: of projected states [M, N, W], ViT states [tiles, P, D] and their masks."""
        assert parts.masks is not None, "the check has looked"
        found = [torch.zeros(0, device=projected.device)]
        for (columns, rows), numbers in by_grid(targets).items():
            own = [targets[number] for number in numbers]
            maps = [picture_map(seen[t.tile : t.tile + columns * rows], columns, rows) for t in own]
            logits = parts.masks(projected[numbers], torch.stack(maps))
            wanted = torch.stack([target.pixels for target in own]).to(logits.device)
            found.append(self.pixels * pixel_loss(logits, wanted) + self.dice * dice_loss(logits, wanted))
        return torch.cat(found)

    def counts(self, batch: LinkBatch) -> Counts:
        """Those of the pack."""
        return WORDS.counts(batch.pack)

    def keys(self, batch: LinkBatch) -> tuple[str, ...]:
        """Of its samples."""
        return batch.pack.keys

    def alone(self, batch: LinkBatch) -> list[LinkBatch]:
        """One for each sample."""
        return batch.split()

    def idle(self, model: VLM, batch: LinkBatch | None, tiles: bool) -> LinkBatch:
        """Sharded models are refused: a rank without masks would not take part in the mask decoder."""
        raise ValueError(
            "parallel.shard: link tokens are trained with whole copies of the model; leave it out, or train "
            "the words alone with the objective 'conversation'"
        )


def _parts(model: nn.Module) -> LinkParts:
    """The links of a model. ValueError for one that can't learn masks."""
    parts = getattr(model, "links", None)
    if not isinstance(parts, LinkParts) or parts.masks is None:
        raise ValueError(
            "objective 'links': the model has no link token for masks; give start.links, or start from a "
            "checkpoint that has them (docs/link.md)"
        )
    if other := next((link for link in parts.config.tokens if link.decoder != MASKS), None):
        raise ValueError(
            f"objective 'links': {other.token} is for the decoder {other.decoder!r}, of which it knows no "
            "loss; train a model whose tokens are for masks"
        )
    if len(counts := {link.queries for link in parts.config.tokens}) > 1:
        raise ValueError(
            f"objective 'links': the tokens have {' and '.join(map(str, sorted(counts)))} queries; give all "
            "of them as many"
        )
    return parts


def _states(
    model: VLM, pack: Pack, rows: torch.Tensor, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """The ViT's states [tiles, P, D_vision] and final hidden states [R, D] of some places."""
    tiles = pack.tiles.to(device)
    seen = (model.recall or model.look)(tiles)
    positions = None if pack.positions is None else pack.positions.to(device)
    features = model.connect(seen) if len(tiles) else None
    hidden = model(pack.ids, layout_of(pack), positions, features=features, rows=rows.to(device))
    return seen, hidden


def _projected(parts: LinkParts, slots: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Projected states [M, N, W] of all links, in order, from those of their slots [S] in a pack."""
    count = parts.config.tokens[0].queries
    owners = ((slots - parts.first) // count).view(-1, count)[:, 0]
    every = torch.stack([parts.project(n, states) for n in range(len(parts.config.tokens))])
    chosen = every[owners.repeat_interleave(count).to(states.device), torch.arange(len(states))]
    return chosen.unflatten(0, (-1, count))


def _table(sources: Sources, learner: ChatLearner, parts: LinkParts) -> tuple[MaskTable, list[RecordFault]]:
    """The masks of all records, and what is wrong with others'."""
    assert parts.masks is not None
    names = [link.token for link in parts.config.tokens]
    grid = int(learner.model.vision.patches**0.5)
    placed: dict[str, tuple[PlacedMask, ...]] = {}
    faults: list[RecordFault] = []
    for entry in sources:
        if not isinstance(entry.source, RecordReader):
            raise ValueError(
                f"{entry.source.name}: drawn sources have no masks; write them with `tessera link draw` and "
                "give the manifest"
            )
        for index in range(entry.source.size):
            try:
                masks = read_masks(entry.source, index, names)
                placed[sample_key(entry.source, index)] = _placed(entry.source, index, masks, learner.encoder)
            except DataError as error:
                faults += error.faults
    return MaskTable(placed, grid * parts.masks.config.scale), faults


def _without(entry: WeightedSource, faults: Sequence[RecordFault]) -> WeightedSource:
    """The source without records whose masks are faulty."""
    places = {(fault.file, fault.line) for fault in faults}
    if not places or not isinstance(entry.source, RecordReader):
        return entry
    return replace(entry, source=entry.source.without(places))


def _placed(
    source: RecordReader, index: int, masks: tuple[RecordMask, ...], encoder: Encoder
) -> tuple[PlacedMask, ...]:
    """The masks of a record with the tiles of their pictures."""
    talk, places, tile = source.conversation(index), [], 0
    for cuts, span in zip(encoder.cuts(talk), encoder.spans(talk), strict=True):
        if len(cuts) > 1:
            raise mask_fault(source, index, "joined pictures have no masks of their own")
        places += [(tile, cut.columns, cut.rows) for cut in cuts]
        tile += sum(span.tiles)
    return tuple(PlacedMask(*places[mask.picture], mask) for mask in masks)
