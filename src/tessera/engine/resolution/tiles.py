"""Which visual tokens of a prompt belong to which tile, where tiles may have different numbers of them."""

from __future__ import annotations

import numpy as np

from tessera.chat.encoder import Encoded
from tessera.engine.core.pictures import tile_digests
from tessera.models.config import ModelConfig

COARSE = b"coarse"
"""What the digest of a coarse tile ends with: its features are others."""


class TileTokens:
    """Tokens of each tile of a prompt, in order. ValueError when placeholders and tiles don't agree."""

    def __init__(self, prompt: Encoded, config: ModelConfig) -> None:
        usual = config.tokens_per_tile
        counts = prompt.tile_tokens or (usual,) * len(prompt.tiles)
        self.coarse = tuple(count != usual for count in counts)
        """Which tiles are coarse."""
        self._ends = np.cumsum([0, *counts])
        self._visual = np.flatnonzero(prompt.ids == config.image_token_id)
        if len(counts) != len(prompt.tiles) or len(self._visual) != self._ends[-1]:
            each = f"{usual} each" if not prompt.tile_tokens else f"{self._ends[-1]} in all"
            raise ValueError(
                f"the prompt has {len(self._visual)} <IMG_CONTEXT> tokens but {len(prompt.tiles)} tiles of "
                f"{each}: encode conversation and pictures in one call"
            )
        plain = tile_digests(prompt.tiles)
        self.digests = tuple(
            digest + COARSE if coarse else digest for digest, coarse in zip(plain, self.coarse, strict=True)
        )

    def visual_of(self, start: int, stop: int) -> tuple[int, int]:
        """The tokens `start` to `stop` among all visual tokens, counted from 0."""
        first, last = self._visual.searchsorted((start, stop)).tolist()
        return first, last

    def of(self, start: int, stop: int) -> range:
        """Tiles to which the tokens `start` to `stop` belong."""
        first, last = self.visual_of(start, stop)
        if first == last:  # as for every token of an answer
            return range(0)
        return range(
            int(np.searchsorted(self._ends, first, "right")) - 1,
            int(np.searchsorted(self._ends, last, "left")),
        )

    def before(self, tile: int) -> int:
        """Visual tokens before a tile."""
        return int(self._ends[tile])

    def start_of(self, tile: int) -> int:
        """The first token of a tile in the prompt."""
        return int(self._visual[self._ends[tile]])
