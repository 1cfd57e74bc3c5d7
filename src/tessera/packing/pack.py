"""Samples laid end to end: what a pack is. Which samples share one is decided in `plan.py`.

Unlike in the published packer (docs/facts/training.md) nothing is cut or padded: a sample is in exactly one
pack.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from tessera.audio.mel import LogMel
from tessera.chat.encoder import Lengths


@dataclass(frozen=True)
class Sample:
    """One encoded record. ids int32 [T]; weights float32 [T], loss-weighted; tiles uint8 [N, S, S, 3]."""

    key: str
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    tiles: NDArray[np.uint8]
    positions: NDArray[np.float32] | None = None
    """float32 [T]; None where tokens count as usual."""
    branches: tuple[int, ...] = ()
    """Tokens of each of several answers to one prompt, the chosen one first; they end `ids`."""
    sounds: tuple[LogMel, ...] = ()
    """Spectrograms, in the order of their placeholders."""

    @property
    def lengths(self) -> Lengths:
        """How many tokens, tiles and supervised tokens, and the tokens of each answer."""
        return Lengths(len(self.ids), len(self.tiles), int(np.count_nonzero(self.weights)), self.branches)


@dataclass(frozen=True)
class Pack:
    """Whole samples in one row, without padding.

    ids int64 [T]; weights float32 [T], weights[t] belongs to token t as a target; lengths sum to T; tiles
    uint8 [N, S, S, 3] in the order of the samples; keys, tiles_per_sample and trained: one entry a sample.
    """

    ids: torch.Tensor
    weights: torch.Tensor
    lengths: tuple[int, ...]
    tiles: torch.Tensor
    keys: tuple[str, ...]
    tiles_per_sample: tuple[int, ...]
    trained: tuple[int, ...]
    positions: torch.Tensor | None = None
    """float32 [T], from 0 in every sample; None where tokens count as usual."""
    branches: tuple[tuple[int, ...], ...] = ()
    """Of each sample the tokens of its answers, none for an ordinary one; () where no sample has several."""
    sounds: tuple[LogMel, ...] = ()
    """Spectrograms of all samples, in the order of their placeholders."""
    sounds_per_sample: tuple[int, ...] = ()
    """() where no sample has any."""


def collate(samples: Sequence[Sample]) -> Pack:
    """Lay samples end to end. ValueError for none, or for a target on a first token (nothing precedes it)."""
    if not samples:
        raise ValueError("samples: a pack needs at least one sample")
    for sample in samples:
        if sample.weights[0] != 0:
            raise ValueError(f"{sample.key}: the first token carries a loss weight, but nothing predicts it")
        if sample.branches and not (min(sample.branches) > 0 and sum(sample.branches) < len(sample.ids)):
            raise ValueError(
                f"{sample.key}: answers of {sample.branches} tokens leave no prompt of {len(sample.ids)}"
            )
    # Text-only samples may carry an empty array of another tile side: it has nothing to add.
    tiles = [sample.tiles for sample in samples if len(sample.tiles)] or [samples[0].tiles]
    lengths = [sample.lengths for sample in samples]
    positions = [s.positions for s in samples if s.positions is not None]
    return Pack(
        ids=torch.from_numpy(np.concatenate([s.ids for s in samples]).astype(np.int64)),
        weights=torch.from_numpy(np.concatenate([s.weights for s in samples]).astype(np.float32)),
        lengths=tuple(length.tokens for length in lengths),
        tiles=torch.from_numpy(np.concatenate(tiles)),
        keys=tuple(s.key for s in samples),
        tiles_per_sample=tuple(length.tiles for length in lengths),
        trained=tuple(length.trained for length in lengths),
        positions=torch.from_numpy(np.concatenate(positions)) if positions else None,
        branches=tuple(s.branches for s in samples) if any(s.branches for s in samples) else (),
        sounds=tuple(sound for s in samples for sound in s.sounds),
        sounds_per_sample=tuple(len(s.sounds) for s in samples) if any(s.sounds for s in samples) else (),
    )


def filled(pack: Pack, tokens: int, tiles: int, token: int) -> Pack:
    """The pack in the shape of full ones: `tokens` in all, and `tiles` in all where it has any.

    Behind the samples stands one of padding, `token` over and over, which teaches nothing; tiles are black
    and belong to no sample. ValueError where the pack holds more.
    """
    more, blank = tokens - len(pack.ids), tiles - len(pack.tiles) if len(pack.tiles) else 0
    if more < 0 or blank < 0:
        raise ValueError(
            f"a pack of {len(pack.ids)} tokens and {len(pack.tiles)} tiles can't be filled up to {tokens} "
            f"and {tiles}: raise packing.max_tokens or packing.max_tiles"
        )
    pack = replace(pack, tiles=torch.cat((pack.tiles, pack.tiles.new_zeros(blank, *pack.tiles.shape[1:]))))
    if not more:
        return pack
    positions = pack.positions
    if positions is not None:
        positions = torch.cat((positions, torch.arange(more, dtype=positions.dtype)))
    return replace(
        pack,
        ids=torch.cat((pack.ids, pack.ids.new_full((more,), token))),
        weights=torch.cat((pack.weights, pack.weights.new_zeros(more))),
        lengths=(*pack.lengths, more),
        keys=(*pack.keys, ""),
        tiles_per_sample=(*pack.tiles_per_sample, 0),
        trained=(*pack.trained, 0),
        positions=positions,
        branches=(*pack.branches, ()) if pack.branches else (),
        sounds_per_sample=(*pack.sounds_per_sample, 0) if pack.sounds else (),
    )


def split_pack(pack: Pack) -> list[Pack]:
    """A pack for each sample, in their order; `collate` of the samples would give the whole again."""
    tiles = pack.tiles.split(pack.tiles_per_sample) if len(pack.tiles) else [pack.tiles] * len(pack.lengths)
    positions: Sequence[torch.Tensor | None] = [None] * len(pack.lengths)
    if pack.positions is not None:
        positions = pack.positions.split(pack.lengths)
    branches = pack.branches or ((),) * len(pack.lengths)
    sounds = iter(pack.sounds)
    heard = [tuple(islice(sounds, count)) for count in pack.sounds_per_sample or (0,) * len(pack.lengths)]
    rows = zip(
        *(pack.ids.split(pack.lengths), pack.weights.split(pack.lengths), pack.lengths, tiles, pack.keys),
        *(pack.tiles_per_sample, pack.trained, positions, branches, heard),
        strict=True,
    )
    return [
        Pack(
            *(ids, weights, (length,), own, (key,), (count,), (trained,), places),
            *((answers,) if answers else (), own_sounds, (len(own_sounds),) if own_sounds else ()),
        )
        for ids, weights, length, own, key, count, trained, places, answers, own_sounds in rows
    ]
