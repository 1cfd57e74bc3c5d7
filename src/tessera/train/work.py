"""What a model computes for a tile, a token and a pair of tokens: by this, packs are balanced over ranks."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM
from tessera.packing.planning.balance import Work


def estimate_work(model: VLM, tile_side: int) -> Work:
    """FLOPs of a forward pass; those of a tile are counted by PyTorch on a copy without memory.

    In the decoder two for each weight of a matrix, and four for each channel of an attended pair.
    """
    with without_memory(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        VLM(model.config).see(torch.empty(1, tile_side, tile_side, 3, dtype=torch.uint8))
    decoder = model.config.decoder
    width = decoder.head_width * (2 * decoder.num_attention_heads + 2 * decoder.num_key_value_heads)
    weights = decoder.hidden_size * (width + 3 * decoder.intermediate_size)
    return Work(
        tile=float(counter.get_total_flops()),
        token=float(2 * decoder.num_hidden_layers * weights),
        pair=float(4 * decoder.num_hidden_layers * decoder.num_attention_heads * decoder.head_width),
    )
