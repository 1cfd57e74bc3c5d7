"""Packs that have lengths but no content: what a planned step computes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tessera.chat.encoder import Lengths
from tessera.models.config import ModelConfig
from tessera.packing.config import PackingConfig
from tessera.packing.pack import Pack
from tessera.train.plan.live import MemoryBook

USUAL_TEXT = 256
"""Text tokens of a usual sample, half of them learned: an assumption where no data is at hand."""
LEAST_LEARNED = 1
CPU = torch.device("cpu")


@dataclass(frozen=True)
class PackPlan:
    """The samples of a pack by their lengths, and where these come from, in words."""

    samples: tuple[Lengths, ...]
    origin: str

    @property
    def tokens(self) -> int:
        """Of all samples."""
        return sum(sample.tokens for sample in self.samples)

    @property
    def tiles(self) -> int:
        """Of all samples."""
        return sum(sample.tiles for sample in self.samples)

    @property
    def trained(self) -> int:
        """Supervised tokens."""
        return sum(sample.trained for sample in self.samples)

    @property
    def pairs(self) -> int:
        """Pairs of tokens that see each other, in causal attention."""
        return sum(sample.tokens * (sample.tokens + 1) // 2 for sample in self.samples)

    def pack(self, config: ModelConfig, pairs: bool, book: MemoryBook) -> Pack:
        """A batch of these lengths: ids and weights are real, pixels take no memory. `pairs`: what a sample
        learns is two answers to its prompt."""
        ids, weights = [], []
        text = (config.image_token_id + 1) % config.decoder.vocab_size
        for sample in self.samples:
            visual = min(sample.tokens - LEAST_LEARNED, sample.tiles * config.tokens_per_tile)
            row = torch.full((sample.tokens,), text)
            row[:visual] = config.image_token_id
            weight = torch.zeros(sample.tokens)
            weight[sample.tokens - min(sample.trained, sample.tokens - 1) :] = 1.0
            ids.append(row)
            weights.append(weight)
        side = config.tile_side
        pixels = book.empty((self.tiles, side, side, 3), torch.uint8, CPU)
        return Pack(
            ids=torch.cat(ids),
            weights=torch.cat(weights),
            lengths=tuple(sample.tokens for sample in self.samples),
            tiles=pixels,
            keys=tuple(map(str, range(len(self.samples)))),
            tiles_per_sample=tuple(sample.tiles for sample in self.samples),
            trained=tuple(sample.trained for sample in self.samples),
            branches=tuple(map(_halves, self.samples)) if pairs else (),
        )


def usual_pack(config: ModelConfig, limits: PackingConfig, sample: Lengths | None = None) -> PackPlan:
    """A full pack of equal samples: as long as `sample`, or, where no data is at hand, of a picture in half
    of its tiles and some text."""
    each, most = config.tokens_per_tile, limits.max_tokens
    if sample is None:
        tiles = min(6, limits.max_tiles, max(0, (most - USUAL_TEXT) // each))
        sample = _sample(min(most, tiles * each + USUAL_TEXT), tiles, each)
        origin = f"samples of {tiles} tiles and {sample.tokens - tiles * each} tokens of text, assumed"
    else:
        sample = _sample(min(most, sample.tokens), sample.tiles, each)
        origin = (
            f"samples of {sample.tokens} tokens, {sample.tiles} tiles among them, as the mean of the data"
        )
    count = max(1, most // sample.tokens)
    if sample.tiles:
        count = max(1, min(count, limits.max_tiles // sample.tiles))
    text = min(USUAL_TEXT, most)
    rest = [_sample(text, 0, each)] * ((most - count * sample.tokens) // text)
    return PackPlan((*[sample] * count, *rest), origin)


def _sample(tokens: int, tiles: int, each: int) -> Lengths:
    """Half of the text is learned."""
    return Lengths(tokens, tiles, max(LEAST_LEARNED, (tokens - tiles * each) // 2))


def _halves(sample: Lengths) -> tuple[int, ...]:
    """Two answers that are all that a sample learns; none where it is too short."""
    learned = min(sample.trained, sample.tokens - 1)
    return (learned - learned // 2, learned // 2) if learned > 1 else ()


def heaviest(packs: Sequence[PackPlan], config: ModelConfig) -> PackPlan:
    """The pack that takes most: by tokens of the decoder, states of the ViT, and what is learned."""
    return max(packs, key=lambda pack: pack.tokens + config.tokens_per_tile * pack.tiles + pack.trained)


def mean_pack(packs: Sequence[PackPlan]) -> PackPlan:
    """The pack whose tokens are nearest to their mean."""
    mean = sum(pack.tokens for pack in packs) / len(packs)
    return min(packs, key=lambda pack: abs(pack.tokens - mean))
