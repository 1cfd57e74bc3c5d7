"""InternVL 2.5 and 3 with the 300M ViT and a Qwen2.5 decoder, as tables (facts 1.1 to 1.4, 2.3).

Only members whose decoder numbers are checked or well known stand here. A checkpoint's own config.json is
read when one is opened; these tables make models without a checkpoint, and check our reading of others.
"""

from __future__ import annotations

from tessera.families.family import Family
from tessera.imaging.grid import Tiling
from tessera.models.config import DecoderConfig, VisionConfig, VLMConfig

VOCABULARY = 151_674
"""Qwen2.5's tokens and the nine added ones; the padded rows of the language model are dropped."""
IMAGE_TOKEN_ID = 151_667

TILING = Tiling(tile_side=448, min_tiles=1, max_tiles=12, thumbnail=True)

QWEN2_5 = {
    # size: hidden, feed-forward, layers, heads, key-value heads
    "0.5B": (896, 4864, 24, 14, 2),
    "1.5B": (1536, 8960, 28, 12, 2),
    "3B": (2048, 11008, 36, 16, 2),
    "7B": (3584, 18944, 28, 28, 4),
}

MEMBERS = {
    # name: (decoder, initial layer scale and drop path written in the released vision config)
    "InternVL2_5-1B": ("0.5B", 1.0, 0.0),
    "InternVL2_5-4B": ("3B", 1.0, 0.0),
    "InternVL3-1B": ("0.5B", 0.1, 0.1),
    "InternVL3-2B": ("1.5B", 0.1, 0.1),
    "InternVL3-8B": ("7B", 0.1, 0.1),
}


def intern_vit_300m(initializer_factor: float = 1.0, drop_path_rate: float = 0.0) -> VisionConfig:
    """InternViT-300M-448px: 24 layers of 1024 channels, LayerNorm, biases on qkv, no QK-norm."""
    return VisionConfig(initializer_factor=initializer_factor, drop_path_rate=drop_path_rate)


def qwen2_5(size: str) -> DecoderConfig:
    """A Qwen2.5 decoder as InternVL stores it: head untied, vocabulary cut to the tokenizer."""
    hidden, inner, layers, heads, kv_heads = QWEN2_5[size]
    return DecoderConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
    )


def member(name: str) -> Family:
    """A released member by its name."""
    size, factor, drop_path = MEMBERS[name]
    model = VLMConfig(
        vision=intern_vit_300m(factor, drop_path), decoder=qwen2_5(size), image_token_id=IMAGE_TOKEN_ID
    )
    return Family(name=name, model=model, tiling=TILING, template="internvl2_5")
