"""An adapter's factors beside the linears of a model, instead of merged into them."""

from __future__ import annotations

import torch
from torch import nn

from tessera.checkpoints.adapter import Adapter
from tessera.checkpoints.lora.factors import Factors, from_rows
from tessera.nn.lora import LoRAConfig, LoRALinear, replace_module
from tessera.nn.quantised import QuantisedLinear


def attach(model: nn.Module, adapter: Adapter) -> None:
    """Wrap every linear that the adapter changes, in place; dropout is left to who trains on.

    The factors have the adapter's own numbers, on the device of their base.
    """
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Linear | QuantisedLinear):
            pairs = adapter.pairs(f"{path}.weight")
            parts = [(start, Factors(up, down, scale)) for start, up, down, scale in pairs]
            if parts:
                replace_module(model, path, _wrapped(module, from_rows(parts, module.out_features)))


def _wrapped(module: nn.Linear | QuantisedLinear, factors: Factors) -> LoRALinear:
    config = LoRAConfig(rank=factors.rank, alpha=factors.scale * factors.rank, dropout=0)
    layer = LoRALinear(module, config)
    with torch.no_grad():
        layer.lora_A.copy_(factors.down)
        layer.lora_B.copy_(factors.up)
    return layer
