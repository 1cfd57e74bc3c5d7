"""What a model computes for a tile, a token and a pair of tokens: by this, packs are balanced over ranks."""

from __future__ import annotations

from tessera.models.config import VLMConfig
from tessera.packing.planning.balance import Work


def estimate_work(config: VLMConfig) -> Work:
    """FLOPs of a forward pass: two for each weight of a matrix, four for each channel of an attended pair."""
    vision, decoder = config.vision, config.decoder
    patches = vision.grid**2 + 1
    weights = 4 * vision.hidden_size**2 + 2 * vision.hidden_size * vision.intermediate_size
    layer = 2 * weights * patches + 4 * vision.hidden_size * patches**2
    width = decoder.head_width * (2 * decoder.num_attention_heads + 2 * decoder.num_key_value_heads)
    weights = decoder.hidden_size * (width + 3 * decoder.intermediate_size)
    return Work(
        tile=float(vision.num_hidden_layers * layer),
        token=float(2 * decoder.num_hidden_layers * weights),
        pair=float(4 * decoder.num_hidden_layers * decoder.num_attention_heads * decoder.head_width),
    )
