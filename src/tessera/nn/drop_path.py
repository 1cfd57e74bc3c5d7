"""The rate at which blocks drop their branches in training (stochastic depth, arXiv 1603.09382)."""

from typing import Any

import torch
from torch import nn


def set_drop_path(model: nn.Module, highest: float | None, uniform: bool = False) -> None:
    """Linear in depth from 0 to `highest` (docs/facts/architecture.md), in every module that has a rate
    `drop_path`; `uniform`: `highest` in all of them.

    None leaves the model's own rates. ValueError when no module has one.
    """
    if highest is None:
        return
    blocks: list[Any] = [module for module in model.modules() if hasattr(module, "drop_path")]
    if not blocks:
        raise ValueError(f"drop_path = {highest}: {type(model).__name__} drops no paths; leave it None")
    lowest = highest if uniform else 0.0
    for block, rate in zip(blocks, torch.linspace(lowest, highest, len(blocks)).tolist(), strict=True):
        block.drop_path = rate
