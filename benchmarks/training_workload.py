"""The work of `training_step.py`: a model, its twin in transformers, batches of the same samples for both."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import nn

from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.shipped import shipped_folder
from tessera.families.catalogue import fresh
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM, normalise
from tessera.packing.pack import Pack, Sample, collate
from tessera.peers.transformers_twin import twin
from tessera.recipes.shelf import load_recipe
from tessera.records.manifest import PlaygroundSource
from tessera.records.readers.playground import PlaygroundReader

UNSUPERVISED = -100


@dataclass(frozen=True)
class Padded:
    """A right-padded batch for transformers: ids, mask, labels int64 [B, L], pixels float32 [N, 3, S, S].

    `labels` has the supervised tokens, `every_label` all tokens that are no padding.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    every_label: torch.Tensor
    pixels: torch.Tensor


@dataclass(frozen=True)
class Workload:
    """Both models with the same weights, and batches of the same samples for each."""

    ours: VLM
    theirs: nn.Module
    packs: list[Pack]
    padded: list[Padded]


def mixture() -> PlaygroundSource:
    """What the recipe's last stage trains on."""
    source = load_recipe("internvl_2_5").stages[-1].sources[0]
    assert isinstance(source, PlaygroundSource)
    return source


def workload(samples: int, batch: int) -> Workload:
    """Drawn from fixed seeds, so that every process has the same. Samples in random order, as drawn."""
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    family = fresh("scale_model", tokenizer)
    encoder, reader = family.encoder(tokenizer), PlaygroundReader(mixture())
    drawn = []
    for index in range(samples):
        encoded = encoder.encode(reader.conversation(index))
        drawn.append(Sample(str(index), encoded.ids, encoded.weights, encoded.tiles))
    random.Random(0).shuffle(drawn)
    ours = VLM(family.model)
    initialise(ours, 0)
    batches = [drawn[start : start + batch] for start in range(0, samples, batch)]
    padded = [pad(chosen, ours) for chosen in batches]
    return Workload(ours.train(), twin(ours).train(), [collate(chosen) for chosen in batches], padded)


def pad(samples: list[Sample], model: VLM) -> Padded:
    """The usual collator: the longest sample of the batch decides the width."""
    shape = (len(samples), max(len(sample.ids) for sample in samples))
    ids, mask = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    labels, every = torch.full(shape, UNSUPERVISED), torch.full(shape, UNSUPERVISED)
    for row, sample in enumerate(samples):
        tokens = torch.from_numpy(sample.ids).long()
        ids[row, : len(sample.ids)], mask[row, : len(sample.ids)] = tokens, 1
        supervised = torch.from_numpy(sample.weights) > 0
        labels[row, : len(sample.ids)] = tokens.where(supervised, torch.tensor(UNSUPERVISED))
        every[row, : len(sample.ids)] = tokens
    tiles = torch.cat([torch.from_numpy(sample.tiles) for sample in samples])
    pixels = normalise(tiles, model.config.mean, model.config.std, torch.float32)
    return Padded(ids, mask, labels, every, pixels.contiguous())
