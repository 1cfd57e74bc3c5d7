"""How many tokens each tile becomes, by a look through the ViT and the resolution router."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from tessera.chat.encoder import Encoded, Encoder
from tessera.engine.core.pictures import tile_digests
from tessera.models.config import VLMConfig
from tessera.models.resolution.forms import choose_coarse, connect_forms, has_forms, routed_scores
from tessera.models.vlm import VLM

MOST_BYTES = 2**28
"""Of states that are kept for the step behind the look."""


class TileLooker:
    """What `Encoder.tile_tokens` asks; `recall` gives the ViT's states of tiles that were looked at.

    The tiles of one call are those of one prompt: the relative threshold is a quantile of theirs, as in the
    released code. Prompts are written in several threads.
    """

    def __init__(self, model: VLM, most_bytes: int = MOST_BYTES) -> None:
        assert isinstance(model.config, VLMConfig) and model.config.resolution is not None
        self.model, self.config, self.rule = model, model.config, model.config.resolution
        self._most, self._held = most_bytes, 0
        self._states: OrderedDict[bytes, torch.Tensor] = OrderedDict()
        self._lock = threading.Lock()

    @torch.inference_mode()
    def __call__(self, tiles: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """Tokens of each tile uint8 [N, S, S, 3]."""
        scores = routed_scores(self.model, self.recall(torch.from_numpy(np.ascontiguousarray(tiles))))
        fine, coarse = self.config.tokens_per_tile, self.config.coarse_tokens
        return tuple(coarse if few else fine for few in choose_coarse(scores, self.rule).tolist())

    def recall(self, tiles: torch.Tensor) -> torch.Tensor:
        """The ViT's states [N, P, D] of tiles uint8 [N, S, S, 3]; each content goes through it once."""
        digests = tile_digests(tiles.cpu().numpy())
        with self._lock:
            found = {digest: self._states[digest] for digest in digests if digest in self._states}
        missing = {digest: number for number, digest in enumerate(digests) if digest not in found}
        if missing:
            fresh = self.model.look(tiles[list(missing.values())])
            found |= {digest: states.clone() for digest, states in zip(missing, fresh, strict=True)}
            self._keep({digest: found[digest] for digest in missing})
        return torch.stack([found[digest] for digest in digests])

    def _keep(self, fresh: dict[bytes, torch.Tensor]) -> None:
        with self._lock:
            for digest, states in fresh.items():
                if digest not in self._states and states.nbytes <= self._most:
                    self._states[digest] = states
                    self._held += states.nbytes
            while self._held > self._most:
                self._held -= self._states.popitem(last=False)[1].nbytes


def looking(model: VLM, encoder: Encoder) -> Encoder:
    """The encoder of a Flash model, which asks the model how many tokens tiles become; others as they are."""
    if not has_forms(model):
        return encoder
    looker = TileLooker(model)
    model.recall = looker.recall
    return replace(encoder, tile_tokens=looker)


def see_forms(model: VLM, tiles: torch.Tensor, coarse: tuple[bool, ...]) -> list[torch.Tensor]:
    """Features [tokens, D] of tiles uint8 [N, S, S, 3], each in its form."""
    if not any(coarse):
        return list(model.see(tiles))
    return connect_forms(model, (model.recall or model.look)(tiles), coarse)


def features_of(model: VLM, prompt: Encoded) -> torch.Tensor | None:
    """Features [1, M, D] of all visual tokens of a prompt whose tiles differ; None where they don't."""
    if not prompt.tile_tokens:
        return None
    usual = model.config.tokens_per_tile
    coarse = tuple(count != usual for count in prompt.tile_tokens)
    return torch.cat(see_forms(model, torch.from_numpy(prompt.tiles), coarse))[None]
