"""How much memory the engine may hold and how much it does in one step."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from tessera.checkpoints.placement import free_bytes
from tessera.models.vlm import VLM
from tessera.runtime.config import Config

SHARE_OF_FREE = {"cpu": 0.25, "cuda": 0.8}
"""Of a device's free memory, for the cache where nobody says how much. A CPU's is shared with everything
else, and pages that were never used take none."""
LONGEST = 64
"""Times the longest context that a sequence may have in tokens: a small visual increment makes the room."""
TOKENS = {"cpu": 512, "cuda": 8192}
TILES = {"cpu": 2, "cuda": 64}
GUESSES = 16
"""Of one step. On a CPU a step of so much takes about as long as people wait for a token without minding."""


class EngineLimits(Config):
    """Memory and steps of an engine. None goes by the device."""

    cache_bytes: int | None = Field(default=None, ge=1)
    """Most memory for keys and values; None takes a share of what is free, but no more than can be used."""
    block_size: int = Field(default=16, ge=1, le=4096)
    """Tokens of a block, the unit in which requests share what they have in common."""
    picture_bytes: int = Field(default=2**28, ge=0)
    """Most memory for features of tiles that were seen; 0 keeps none."""
    tokens_a_step: int | None = Field(default=None, ge=1)
    """Most tokens of a step. More make long prompts faster and their neighbours' next token slower."""
    tiles_a_step: int | None = Field(default=None, ge=1)
    """Most tiles that go through the ViT in a step; the same holds."""

    guesses_a_step: int | None = Field(default=None, ge=0)
    """Most tokens of a step that are guessed from what was said before and checked; 0 guesses nothing, None
    16, or nothing where steps are recorded.

    On a CPU a step with 4 takes about 1.2 times as long as one without, with 16 about 1.7 times (measured,
    `sampling/drafts.py`). Where they don't come true there are soon none."""
    record_steps: bool = False
    """On a CUDA device: steps in which every request gets one token are recorded as graphs (`graphs.py`). Off
    until it has been measured on one; PyTorch's calls one by one take 41 ms for a token of an 8B model on an
    H200, whose memory could give one in 3."""

    def tokens(self, device: str) -> int:
        """Most tokens of a step on a kind of device."""
        return self.tokens_a_step or TOKENS.get(device, TOKENS["cuda"])

    def tiles(self, device: str) -> int:
        """Most tiles of a step on a kind of device."""
        return self.tiles_a_step or TILES.get(device, TILES["cuda"])

    @property
    def guesses(self) -> int:
        """Most guessed tokens of a step."""
        if self.guesses_a_step is None:
            return 0 if self.record_steps else GUESSES
        return self.guesses_a_step


def count_blocks(model: VLM, limits: EngineLimits, most_running: int) -> int:
    """Blocks that the memory allows, but no more than can be of use.

    Raises ValueError when `cache_bytes` is less than one block takes.
    """
    config, places = model.config.decoder, model.decoder.layer_devices
    width = 2 * config.num_key_value_heads * config.head_width
    layer = limits.block_size * width * model.decoder.embed_tokens.weight.element_size()
    useful = max(most_running, LONGEST) * -(-config.longest_context // limits.block_size)
    if limits.cache_bytes is not None:
        allowed = limits.cache_bytes // (layer * len(places))
        if not allowed:
            raise ValueError(
                f"cache_bytes = {limits.cache_bytes}: one block of {limits.block_size} tokens takes "
                f"{layer * len(places):,} bytes; give more, or a smaller block_size"
            )
        return min(allowed, useful)
    each = (_allowed(str(place), place.type) // (layer * count) for place, count in Counter(places).items())
    return max(1, min(useful, *each))


def _allowed(place: str, kind: str) -> int:
    """Bytes for the cache on a device; one whose free memory nobody tells counts as the host's."""
    known = kind in SHARE_OF_FREE
    return int(free_bytes(place if known else "cpu") * SHARE_OF_FREE[kind if known else "cpu"])
