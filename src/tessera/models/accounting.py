"""What a model of some config takes: parameters by part, bytes of weights, bytes of cache.

Nothing is allocated: one block of each kind is built on the meta device and counted as often as there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from tessera.models.config import VLMConfig
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM

Stored = Literal["bf16", "int8"]


def count_parameters(config: VLMConfig) -> dict[str, int]:
    """Parameters of `vision`, `connector`, `decoder` and `total`, which is all of them.

    `embeddings` is the input embedding matrix, which `decoder` has in it. A head tied to it counts once.
    """
    parts = _by_part(config, _parameters)
    return {**parts, "embeddings": config.decoder.vocab_size * config.decoder.hidden_size}


def bytes_to_load(config: VLMConfig, stored: Stored) -> int:
    """Bytes of all weights once loaded.

    `bf16`: two a parameter. `int8`: as `load_checkpoint(linears="int8")` makes them; linears of ViT and
    decoder blocks take a byte a weight and two a row for its scale, all else two a parameter. Raises
    ValueError for another word.
    """
    if stored not in ("bf16", "int8"):
        raise ValueError(f"stored = {stored!r}: give bf16 or int8")
    return _by_part(config, _bf16_bytes, _int8_bytes if stored == "int8" else _bf16_bytes)["total"]


def kv_cache_bytes_per_token(config: VLMConfig, dtype: torch.dtype = torch.bfloat16) -> int:
    """Bytes of keys and values that one token of a conversation keeps in the cache over all layers."""
    decoder = config.decoder
    width = 2 * decoder.num_key_value_heads * decoder.head_width
    return decoder.num_hidden_layers * width * dtype.itemsize


def _by_part(
    config: VLMConfig,
    measure: Callable[[nn.Module], int],
    in_blocks: Callable[[nn.Module], int] | None = None,
) -> dict[str, int]:
    """Sizes of the parts; blocks have their own measure when `in_blocks` is given."""
    in_blocks = in_blocks or measure
    single = {
        name: getattr(config, name).model_copy(update={"num_hidden_layers": 1})
        for name in ("vision", "decoder")
    }
    with without_memory():
        model = VLM(config.model_copy(update=single))
    sizes = {"vision": 0, "connector": measure(model.connector), "decoder": 0}
    for name in single:
        part, depth = getattr(model, name), getattr(config, name).num_hidden_layers
        block = part.layers[0]
        sizes[name] = measure(part) - measure(block) + depth * in_blocks(block)
    return {**sizes, "total": sum(sizes.values())}


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _bf16_bytes(module: nn.Module) -> int:
    return torch.bfloat16.itemsize * _parameters(module)


def _int8_bytes(block: nn.Module) -> int:
    linears = [module for module in block.modules() if isinstance(module, nn.Linear)]
    saved = sum(linear.weight.numel() - torch.bfloat16.itemsize * linear.out_features for linear in linears)
    return _bf16_bytes(block) - saved
