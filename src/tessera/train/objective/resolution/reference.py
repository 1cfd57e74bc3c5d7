"""The model that is imitated, and how far another one is from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tessera.checkpoints.load import load_checkpoint
from tessera.models.vlm import VLM
from tessera.train.objective.learner import base_folder

NUMBERS_AT_ONCE = 2**24
"""Logits of a chunk: 64 MiB in float32."""


@lru_cache(maxsize=1)
def open_reference(name: str, device: torch.device, dtype: torch.dtype) -> VLM:
    """The model of a folder, hub name or "shipped", frozen; opened once in a process. ValueError for none."""
    loaded = load_checkpoint(base_folder(name, "model"), device, dtype)
    return loaded.model.requires_grad_(False)


def divergences(
    head: nn.Module, rows: torch.Tensor, other: nn.Module, reference: torch.Tensor
) -> torch.Tensor:
    """KL(reference || model) of the next token at each place, float32 [R], from states [R, D] of both.

    Logits are made some rows at a time, and again in the backward pass.
    """
    vocabulary = max(1, int(getattr(head, "out_features", 0)) or 2**17)
    step = max(1, NUMBERS_AT_ONCE // vocabulary)
    parts = [
        _chunk(head, rows[start : start + step], other, reference[start : start + step])
        for start in range(0, len(rows), step)
    ]
    return torch.cat(parts) if parts else rows.new_zeros(0, dtype=torch.float32)


def _chunk(head: nn.Module, rows: torch.Tensor, other: nn.Module, reference: torch.Tensor) -> torch.Tensor:
    def kl(states: torch.Tensor) -> torch.Tensor:
        ours = head(states).float().log_softmax(-1)
        with torch.no_grad():
            theirs = other(reference).float().log_softmax(-1)
        return F.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)

    call: Callable[..., torch.Tensor] = checkpoint
    if not torch.is_grad_enabled() or not rows.requires_grad:
        return kl(rows)
    return call(kl, rows, use_reentrant=False, preserve_rng_state=False)
