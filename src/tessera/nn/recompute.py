"""Blocks that forget their activations in the forward pass and compute them again in the backward pass.

A stack (a ViT, a decoder) has an attribute `recompute` and runs each of its blocks through `run_block`.
"""

from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from tessera.runtime.device import give_back_freed

Recompute = Literal["none", "blocks", "selective"]
"""`blocks` keeps the input of each block alone. `selective` keeps what is dear to compute, too: results of
matrix products with weights and of fused attention; norms, activations and rotations come again."""

PRODUCTS = frozenset({"aten.mm.default", "aten.addmm.default"})
KEPT = PRODUCTS | frozenset(
    {
        "mkldnn._linear_pointwise.default",
        "torch_attn._varlen_attn.default",
        "aten._scaled_dot_product_flash_attention.default",
        "aten._scaled_dot_product_flash_attention_for_cpu.default",
        "aten._scaled_dot_product_efficient_attention.default",
        "aten._scaled_dot_product_cudnn_attention.default",
    }
)
"""Operators as torch prints them. Products without weights (`bmm`) are scores of attention: large, and cheap
beside them."""


def run_block(block: nn.Module, how: Recompute, *inputs: Any) -> torch.Tensor:
    """The block's result. With a gradient wanted and `how` not "none", its activations are not kept.

    Random draws are the same both times, so drop path and dropout may stand inside; gradients are those of
    "none". Source: torch.utils.checkpoint without re-entrance.
    """
    if how == "none" or not torch.is_grad_enabled():
        out: torch.Tensor = block(*inputs)
        return out
    options: dict[str, Any] = {}
    if how == "selective":
        options["context_fn"] = partial(create_selective_checkpoint_contexts, _policy)
    again: torch.Tensor = checkpoint(_with_room, block, *inputs, use_reentrant=False, **options)
    return again


def set_recompute(model: nn.Module, how: Recompute) -> None:
    """Choose for all stacks of a model. ValueError when it has none."""
    stacks: list[Any] = [module for module in model.modules() if hasattr(module, "recompute")]
    if not stacks and how != "none":
        raise ValueError(f"recompute = {how!r}: {type(model).__name__} has no stack of blocks; leave it none")
    for stack in stacks:
        stack.recompute = how


def _policy(_: Any, operator: Any, *inputs: Any, **__: Any) -> CheckpointPolicy:
    kept = str(operator) in KEPT and not _narrows(str(operator), inputs)
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE


def _narrows(operator: str, inputs: tuple[Any, ...]) -> bool:
    """Whether it is a product whose rows come out narrower. Such a one ends a block, where nobody reads its
    result again, or makes keys and values of few heads, or LoRA's low rank: cheap."""
    if operator not in PRODUCTS:
        return False
    x, weight = inputs[-2:]
    return bool(x.shape[-1] > weight.shape[-1])


def _with_room(block: nn.Module, *inputs: Any) -> torch.Tensor:
    """The block's result, where what blocks before it freed is not in the way."""
    if inputs[0].device.type == "cpu":
        give_back_freed()
    out: torch.Tensor = block(*inputs)
    return out
