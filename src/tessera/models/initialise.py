"""Starting values for models trained from scratch (the scale model), and models without any."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tessera.nn.experts.routing import Router


def initialise(model: nn.Module, seed: int, spread: float = 0.02) -> None:
    """Draw all weights from one seed: normal for matrices (narrower where a branch joins the residual), zero
    for biases, one for norms. Layer scale and class/position embeddings keep their own constants."""
    generator = torch.Generator().manual_seed(seed)
    depth = max(sum(name.endswith("mlp") for name, _ in model.named_modules()), 1)
    joins = ("o_proj", "down_proj", "proj", "fc2")
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Embedding | Router):
            narrow = name.rsplit(".", 1)[-1] in joins
            std = _spread(module, spread) / (math.sqrt(2 * depth) if narrow else 1.0)
            with torch.no_grad():
                module.weight.normal_(0.0, std, generator=generator)
                if getattr(module, "bias", None) is not None:
                    module.bias.zero_()  # type: ignore[union-attr, operator]
    for name, parameter in model.named_parameters():
        if name.endswith(("class_embedding", "position_embedding", "query_token")):
            with torch.no_grad():
                parameter.normal_(0.0, spread, generator=generator)


def _spread(module: nn.Module, spread: float) -> float:
    """Fan-in scaling for layers narrower than the one the constant was chosen for (about 2,500 channels)."""
    if isinstance(module, nn.Embedding):
        return spread
    return max(spread, 1.0 / math.sqrt(cast(torch.Tensor, module.weight)[0].numel()))


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules made inside lie on the meta device: names and shapes, no memory, no starting values.

    Modules draw their own starting values; on the meta device torch would import its compiler to draw
    nothing, which takes longer than reading a model of a billion weights.
    """
    with torch.device("meta"), _Undrawn():
        yield


DRAWS = (
    *(torch.Tensor.normal_, torch.Tensor.uniform_),
    *(nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_),
)


class _Undrawn(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in DRAWS:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))
