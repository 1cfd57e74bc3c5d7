"""What a weight's place in the model says of its rate and its decay."""

import re
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

Exempt = Literal["norms", "biases", "layer_scale", "embeddings"]


def kind_of(name: str, parameter: torch.Tensor) -> Exempt | None:
    """The kind of a weight that decay may leave out; None for matrices and convolutions, which always decay.

    `layer_scale` stands for all vectors and scalars that scale: those behind a block, and temperatures.
    """
    parent, _, leaf = name.rpartition(".")
    if leaf == "bias":
        return "biases"
    if leaf.endswith("_embedding") or parent.endswith("embed_tokens"):
        return "embeddings"
    if parameter.dim() > 1:
        return None
    return "norms" if "norm" in parent.rpartition(".")[2] else "layer_scale"


def stacks(model: nn.Module) -> dict[str, int]:
    """Prefix -> number of blocks, of every encoder or decoder in a model."""
    found = {name: module for name, module in model.named_modules() if hasattr(module, "layers")}
    return {
        f"{name}.": len(module.layers)
        for name, module in found.items()
        if isinstance(module.layers, nn.ModuleList)
    }


def layers_above(name: str, depths: Mapping[str, int]) -> int | None:
    """How often layer decay applies: once in the last block, once more in each below, then in the embeddings.

    0 for norm and head above the blocks, None outside `depths`. As published for the fine-tuning of
    InternVL-C and -G: rate ** (depth + 1 - i), i = 0 in embeddings (docs/updates.md).
    """
    for prefix, depth in depths.items():
        if name.startswith(prefix):
            place = name.removeprefix(prefix)
            if block := re.match(r"layers\.(\d+)\.", place):
                return depth - int(block[1])
            return depth + 1 if "embed" in place else 0
    return None
