"""Toy sizes: the scale model that runs through the whole recipe on a laptop, and a smaller one for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tessera.imaging.grid import Tiling
from tessera.models.config import DecoderConfig, VisionConfig, VLMConfig

if TYPE_CHECKING:
    from tessera.families.family import Family

VOCABULARY = 768
"""Upper bound; `Family.fitted` sets what the tokenizer has."""


def scale_model() -> Family:
    """The scale model: 64 px tiles, patch 8, 16 tokens a tile, ViT 6 x 192, decoder 4 x 192."""
    vision = VisionConfig(
        image_size=64,
        patch_size=8,
        hidden_size=192,
        num_hidden_layers=6,
        num_attention_heads=3,
        intermediate_size=768,
        initializer_factor=1.0,
    )
    decoder = DecoderConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=3,
        rope_theta=1e4,
        max_position_embeddings=4096,
    )
    return _toy("scale_model", vision, decoder)


def nano_model() -> Family:
    """A model of a few thousand weights, for tests: 16 px tiles, patch 4, 4 tokens a tile, untied head."""
    vision = VisionConfig(
        image_size=16,
        patch_size=4,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
    )
    decoder = DecoderConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    )
    return _toy("nano_model", vision, decoder)


def _toy(name: str, vision: VisionConfig, decoder: DecoderConfig) -> Family:
    """The published way of writing and cutting, with fewer tiles and no system text."""
    from tessera.families.family import Family

    model = VLMConfig(vision=vision, decoder=decoder, image_token_id=VOCABULARY - 7)
    tiling = Tiling(tile_side=vision.image_size, max_tiles=6)
    return Family(name=name, model=model, tiling=tiling, template="internvl2_5", system_text="")


TOYS: dict[str, Callable[[], Family]] = {"scale_model": scale_model, "nano_model": nano_model}
"""Sizes that were never published: the shipped model and a smaller one for tests."""
