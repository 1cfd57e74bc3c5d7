"""The model's side of generation: all prompts in one stream, then one token a sequence and step."""

from __future__ import annotations

from collections.abc import Sequence as Seq

import numpy as np
import torch

from tessera.engine.sampler import forbid
from tessera.engine.sequence import Sequence
from tessera.models.vlm import VLM
from tessera.nn.kv_cache import KVCache
from tessera.nn.layout import Paged

TILES_AT_ONCE = 64
"""Tiles that go through the ViT together; bounds its memory, not the batch."""


class Runner:
    """A model with a cache for a fixed set of sequences: one contiguous page each."""

    def __init__(self, model: VLM, sequences: Seq[Sequence], vocabulary: int) -> None:
        self.model = model
        self.vocabulary = vocabulary
        weight = model.decoder.embed_tokens.weight
        self.device = weight.device
        config = model.config.decoder
        self.cache = KVCache(
            config.num_hidden_layers,
            len(sequences),
            max(sequence.room for sequence in sequences),
            config.num_key_value_heads,
            config.head_width,
            weight.dtype,
            model.decoder.layer_devices,
        )

    @torch.inference_mode()
    def prefill(self, sequences: Seq[Sequence]) -> torch.Tensor:
        """All prompts in one stream; scores [B, V] for each first new token."""
        lengths = tuple(sequence.prompt_tokens for sequence in sequences)
        ids = np.concatenate([sequence.prompt.ids for sequence in sequences])
        layout = Paged(lengths, (0,) * len(sequences), _pages(sequences))
        last = torch.tensor(lengths).cumsum(0) - 1
        positions = torch.cat([sequence.positions for sequence in sequences])
        return self._scores(ids, layout, positions, self._see(sequences), last)

    @torch.inference_mode()
    def step(self, sequences: Seq[Sequence]) -> torch.Tensor:
        """The newest token of every sequence; scores [B, V] for the next."""
        ids = np.array([sequence.ids[-1] for sequence in sequences])
        contexts = tuple(len(sequence.ids) - 1 for sequence in sequences)
        layout = Paged((1,) * len(sequences), contexts, _pages(sequences))
        positions = torch.tensor([sequence.newest_position for sequence in sequences])
        return self._scores(ids, layout, positions, None, None)

    def _scores(
        self,
        ids: np.ndarray,
        layout: Paged,
        positions: torch.Tensor,
        features: torch.Tensor | None,
        rows: torch.Tensor | None,
    ) -> torch.Tensor:
        stream = torch.from_numpy(ids.astype(np.int64)).to(self.device)
        hidden = self.model(stream, layout, positions, cache=self.cache, features=features)
        if rows is not None:
            hidden = hidden[rows.to(hidden.device)]
        return forbid(self.model.logits(hidden), self.model.config.image_token_id, self.vocabulary)

    def _see(self, sequences: Seq[Sequence]) -> torch.Tensor | None:
        """Visual features [N, tokens, D] of all tiles of all sequences, each computed once; None without."""
        tiles = [sequence.prompt.tiles for sequence in sequences if len(sequence.prompt.tiles)]
        if not tiles:
            return None
        stacked = torch.from_numpy(np.concatenate(tiles))
        starts = range(0, len(stacked), TILES_AT_ONCE)
        return torch.cat([self.model.see(stacked[start : start + TILES_AT_ONCE]) for start in starts])


def _pages(sequences: Seq[Sequence]) -> tuple[tuple[int, ...], ...]:
    return tuple((sequence.page,) for sequence in sequences)
