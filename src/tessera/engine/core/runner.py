"""The model's side of a step: pictures through the ViT, tokens through the decoder, scores out."""

from collections.abc import Iterable
from collections.abc import Sequence as Seq
from itertools import accumulate

import numpy as np
import torch

from tessera.engine.core.graphs import DecodeGraphs, Newest
from tessera.engine.core.pictures import PictureCache
from tessera.engine.core.scheduler import Advance
from tessera.engine.core.sequence import Sequence
from tessera.engine.resolution.looker import see_forms
from tessera.engine.sampling.choose import finite_rows, forbid
from tessera.engine.sounds.hearing import hear
from tessera.models.vlm import VLM
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Paged

Span = tuple[Sequence, int, int]
"""A sequence and the half-open range of its tokens that takes part in a step."""


class Runner:
    """A model with a cache of `blocks` pages of `size` tokens; steps of up to `most_recorded` sequences are
    recorded, which the model must suit."""

    def __init__(self, model: VLM, vocabulary: int, blocks: int, size: int, most_recorded: int = 0) -> None:
        self.model, self.vocabulary = model, vocabulary
        config = model.config.decoder
        recorded = most_recorded > 0
        self.cache = KVCache(
            config.num_hidden_layers,
            blocks + recorded,
            size,
            config.num_key_value_heads,
            config.head_width,
            model.decoder.embed_tokens.weight.dtype,
            model.decoder.layer_devices,
        )
        self.graphs = DecodeGraphs(model, self.cache, most_recorded) if recorded else None

    @torch.inference_mode()
    def run(self, advances: Seq[Advance], pictures: PictureCache) -> tuple[torch.Tensor, torch.Tensor] | None:
        """All of them. Scores [R, V] behind each that answers and behind each of its guesses, and which rows
        are finite; None where none answers. Where steps are recorded, answers go that way and prompts in one
        stream behind them.
        """
        newest, rest = self._newest(advances)
        parts = [self.graphs.run(newest)] if self.graphs and newest else []
        if rest and (flat := self._flat(rest, pictures)) is not None:
            parts.append(flat)
        if not parts:
            return None
        scores = parts[0] if len(parts) == 1 else torch.cat(parts)
        finite = finite_rows(scores[:, : self.vocabulary])
        return forbid(scores, self.model.config.placeholder_ids, self.vocabulary), finite

    def _newest(self, advances: Seq[Advance]) -> tuple[list[Newest], Seq[Advance]]:
        """Those at the head that a recorded step takes, and the others."""
        newest: list[Newest] = []
        for each in advances[: self.graphs.most] if self.graphs else ():
            sequence, place = each.sequence, each.sequence.computed
            token = sequence.ids[place]
            alone = each.answers and each.stop == place + 1 and not each.guesses and not each.wanted
            if not alone or token in self.model.config.placeholder_ids:
                break
            newest.append(Newest(token, sequence.positions[place], place, sequence.table))
        return newest, advances[len(newest) :]

    def _flat(self, advances: Seq[Advance], pictures: PictureCache) -> torch.Tensor | None:
        """All tokens of these in one stream; raw scores, None where none answers."""
        spans = [(each.sequence, each.sequence.computed, each.stop) for each in advances]
        lengths = [each.stop - each.sequence.computed + len(each.guesses) for each in advances]
        layout = Paged(
            tuple(lengths),
            tuple(start for _, start, _ in spans),
            tuple(tuple(sequence.table) for sequence, _, _ in spans),
        )
        # Ids stay on the host, where the model counts placeholders without waiting for a device.
        ids = torch.tensor([token for each in advances for token in each.ids])
        positions = torch.tensor([place for each in advances for place in each.positions])
        several = any(each.guesses or each.wanted for each in advances)
        reach = None
        if advances[0].sequence.needs_reach:
            reach = torch.tensor([reach for each in advances for reach in each.reaches])
        self._see(spans, pictures)
        hidden = self.model(
            ids,
            layout,
            positions,
            cache=self.cache,
            features=self._features(spans),
            heard=hear(self.model, spans, pictures),
            rows=None if several else layout.ends(self.model.decoder.norm.weight.device),
            reach=reach,
        )
        ends = list(accumulate(lengths)) if several else range(1, len(advances) + 1)
        for each, length, end in zip(advances, lengths, ends, strict=True) if several else ():
            if places := each.wanted:
                first = end - length + places.start - each.sequence.computed
                each.sequence.links.take(hidden[first : first + len(places)])
        rows = [
            row
            for each, end in zip(advances, ends, strict=True)
            if each.answers
            for row in range(end - 1 - len(each.guesses), end)
        ]
        if not rows:
            return None
        return self.model.logits(hidden if len(rows) == len(hidden) else hidden[rows])

    def _see(self, spans: Iterable[Span], pictures: PictureCache) -> None:
        """Features of all tiles that these tokens belong to; each content goes through the ViT once."""
        missing: dict[bytes, list[tuple[Sequence, int]]] = {}
        for sequence, start, stop in spans:
            for tile in sequence.tiles.of(start, stop):
                if tile in sequence.features:
                    continue
                digest = sequence.tiles.digests[tile]
                found = None if digest in missing else pictures.find(digest)
                if found is None:
                    missing.setdefault(digest, []).append((sequence, tile))
                else:
                    sequence.features[tile] = found
        if not missing:
            return
        tiles = np.stack([wanting[0][0].prompt.tiles[wanting[0][1]] for wanting in missing.values()])
        coarse = tuple(wanting[0][0].tiles.coarse[wanting[0][1]] for wanting in missing.values())
        seen = see_forms(self.model, torch.from_numpy(tiles), coarse)
        for (digest, wanting), features in zip(missing.items(), seen, strict=True):
            own = features.clone()  # else one tile would keep the memory of all that were seen with it
            pictures.keep(digest, own)
            for sequence, tile in wanting:
                sequence.features[tile] = own

    def _features(self, spans: Iterable[Span]) -> torch.Tensor | None:
        """Features [1, M, D] of the stream's visual tokens, in order; None without."""
        pieces = []
        for sequence, start, stop in spans:
            first, last = sequence.tiles.visual_of(start, stop)
            if first == last:
                continue
            tiles = sequence.tiles.of(start, stop)
            whole = torch.cat([sequence.features[tile] for tile in tiles])
            before = sequence.tiles.before(tiles[0])
            pieces.append(whole[first - before : last - before])
        return torch.cat(pieces)[None] if pieces else None
