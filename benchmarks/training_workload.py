"""The work of `training_step.py`: drawn samples of two mixtures, as packs for us and padded for transformers.

Ids and pixels are drawn at random from fixed seeds, so that every process has the same; lengths alone decide
what a step costs.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

import numpy as np
import torch

from tessera.models.config import VLMConfig
from tessera.models.vlm import normalise
from tessera.packing.pack import Pack, Sample, collate

UNSUPERVISED = -100
PROMPT = 16
"""Text tokens before the first supervised one."""


@dataclass(frozen=True)
class Mixture:
    """Text tokens of a sample, even in their logarithm, its tiles, and what shares a step and a pack."""

    shortest: int
    longest: int
    tiles: int
    step: int
    """Samples in a step: the padded batch; four a device in InternVL's scripts, fewer where they are long."""
    pack: int
    """Most tokens of one of our packs."""

    def cut(self, times: int) -> Mixture:
        """Texts and packs so many times as short, for less memory."""
        shorter = {name: getattr(self, name) // times for name in ("shortest", "longest", "pack")}
        return replace(self, **shorter)


MIXTURES = {
    "captions": Mixture(20, 400, tiles=1, step=4, pack=640),
    "documents": Mixture(2048, 3072, tiles=0, step=2, pack=3072),
}


@dataclass(frozen=True)
class Padded:
    """A right-padded batch for transformers: ids, mask, labels int64 [B, L], pixels float32 [N, 3, S, S]."""

    ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    pixels: torch.Tensor | None


def draw(mixture: Mixture, config: VLMConfig, steps: int, shrink: int = 1) -> list[list[Sample]]:
    """The samples of each step; texts are `shrink` times as short for toy shapes."""
    generator = random.Random(0)
    return [[_sample(mixture, config, generator, shrink) for _ in range(mixture.step)] for _ in range(steps)]


def _sample(mixture: Mixture, config: VLMConfig, generator: random.Random, shrink: int) -> Sample:
    span = math.log(mixture.shortest), math.log(mixture.longest)
    text = max(4, round(math.exp(generator.uniform(*span)) / shrink))
    prompt = min(PROMPT // shrink + 2, text - 2)
    marks = [config.image_token_id] * (mixture.tiles * config.tokens_per_tile)
    # Below the special tokens, which stand at the end of the series' vocabularies.
    words = [generator.randrange(config.image_token_id // 2) for _ in range(text)]
    ids = np.array([words[0], *marks, *words[1:]], dtype=np.int32)
    weights = np.zeros(len(ids), dtype=np.float32)
    weights[len(marks) + prompt :] = 1.0
    side = config.vision.image_size
    pixels = np.random.default_rng(generator.randrange(2**31))
    tiles = pixels.integers(0, 256, (mixture.tiles, side, side, 3), dtype=np.uint8)
    return Sample(str(len(ids)), ids, weights, tiles)


def packs(samples: list[Sample], most: int) -> list[Pack]:
    """Samples laid end to end, in packs of at most `most` tokens: first fit, the longest first."""
    rows: list[list[Sample]] = []
    for sample in sorted(samples, key=lambda sample: -len(sample.ids)):
        fits = (row for row in rows if sum(len(s.ids) for s in row) + len(sample.ids) <= most)
        if (row := next(fits, None)) is None:
            rows.append(row := [])
        row.append(sample)
    return [collate(row) for row in rows]


def pad(samples: list[Sample], config: VLMConfig, dtype: torch.dtype) -> Padded:
    """The usual collator: the longest sample of the batch decides the width."""
    shape = (len(samples), max(len(sample.ids) for sample in samples))
    ids, mask = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    labels = torch.full(shape, UNSUPERVISED)
    for row, sample in enumerate(samples):
        tokens = torch.from_numpy(sample.ids).long()
        ids[row, : len(sample.ids)], mask[row, : len(sample.ids)] = tokens, 1
        supervised = torch.from_numpy(sample.weights) > 0
        labels[row, : len(sample.ids)] = tokens.where(supervised, torch.tensor(UNSUPERVISED))
    tiles = torch.cat([torch.from_numpy(sample.tiles) for sample in samples])
    if not len(tiles):
        return Padded(ids, mask, labels, None)
    return Padded(ids, mask, labels, normalise(tiles, config.mean, config.std, dtype).contiguous())
