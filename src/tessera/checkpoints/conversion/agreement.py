"""Do two models say the same? Logits on one random prompt with one random tile.

The prompt follows from the seed alone, so two models that do not fit into memory together are asked one after
the other and their answers compared afterwards.
"""

from dataclasses import dataclass

import numpy as np
import torch

from tessera.chat.tokenizer import Tokenizer
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tessera.runtime.seeds import derive_seed

WORDS = 24
"""Random tokens before and behind the tile; those behind it are scored."""
TOLERANCE = {torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}
"""Largest difference after a cast, as a share of the largest logit, by the coarser of the two formats."""


@dataclass(frozen=True)
class Agreement:
    """How two models' logits compare, over `tokens` positions.

    `max_abs` is the largest difference and `scale` the largest logit of the first model; `same_greedy` is the
    share of positions at which both would choose the same token.
    """

    max_abs: float
    scale: float
    same_greedy: float
    tokens: int

    @property
    def exact(self) -> bool:
        """Whether every logit is the same to the bit."""
        return self.max_abs == 0.0

    def within(self, tolerance: float) -> bool:
        """Whether the largest difference is at most this share of the largest logit."""
        return self.max_abs <= tolerance * self.scale


@torch.inference_mode()
def probe(model: VLM, tokenizer: Tokenizer, seed: int = 0) -> torch.Tensor:
    """Logits float32 [WORDS, V] on the CPU, for the words that stand behind a random tile."""
    ids, tile = random_prompt(model, tokenizer, seed)
    device = model.decoder.embed_tokens.weight.device
    rows = torch.arange(len(ids) - WORDS, len(ids), device=device)
    stream, tiles = ids.to(device), tile.to(device)
    hidden = model(stream, Packed((len(ids),)), tiles=tiles, rows=rows)
    return model.logits(hidden).float().cpu()


def random_prompt(model: VLM, tokenizer: Tokenizer, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids int64 [T] with one tile's placeholders among random tokens, and the tile uint8 [1, S, S, 3]."""
    config = model.config
    generator = np.random.default_rng(derive_seed("agreement", seed))
    vocabulary = min(tokenizer.vocab_size, config.decoder.vocab_size)
    words = generator.integers(0, vocabulary - 1, 2 * WORDS)
    words += words >= config.image_token_id  # every id but the placeholder's
    slots = np.full(config.tokens_per_tile, config.image_token_id)
    side = config.tile_side
    tile = generator.integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    return torch.from_numpy(np.concatenate((words[:WORDS], slots, words[WORDS:]))), torch.from_numpy(tile)


def compare(first: torch.Tensor, second: torch.Tensor) -> Agreement:
    """Agreement of two probes float32 [T, V]. Raises ValueError for vocabularies of different sizes."""
    if first.shape != second.shape:
        raise ValueError(
            f"logits {tuple(first.shape)} and {tuple(second.shape)}: the models have different vocabularies"
        )
    difference = (first - second).abs().max()
    same = (first.argmax(-1) == second.argmax(-1)).float().mean()
    return Agreement(float(difference), float(first.abs().max()), float(same), len(first))
