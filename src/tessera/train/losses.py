"""Losses as sums: the caller divides once, by a normaliser counted before any forward pass."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed

CHUNK = 8192
"""Supervised tokens whose logits exist at one time."""


def next_token_loss(
    model: VLM,
    ids: torch.Tensor,
    weights: torch.Tensor,
    lengths: tuple[int, ...],
    tiles: torch.Tensor | None,
) -> torch.Tensor:
    """Weighted sum of next-token cross-entropies over a pack (facts 6.5), float32 scalar.

    ids int64 [T]; weights float32 [T], `weights[t]` for predicting token t from what stands before it; tiles
    uint8 [N, S, S, 3]. Only rows with a weight pass through the last block and meet the vocabulary.
    """
    targets = weights.nonzero()[:, 0]
    rows = model(ids, Packed(lengths), tiles=tiles, rows=targets - 1)
    total = rows.new_zeros((), dtype=torch.float32)
    for start in range(0, len(targets), CHUNK):
        chosen = targets[start : start + CHUNK]
        arguments = (model, rows[start : start + CHUNK], ids[chosen], weights[chosen])
        if len(targets) <= CHUNK:
            return _weighted_cross_entropy(*arguments)
        total = total + checkpoint(_weighted_cross_entropy, *arguments, use_reentrant=False)
    return total


def _weighted_cross_entropy(
    model: VLM, rows: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    losses = F.cross_entropy(model.logits(rows).float(), targets, reduction="none")
    return (losses * weights).sum()


def symmetric_contrastive_loss(
    left: torch.Tensor, right: torch.Tensor, scale: torch.Tensor, match: torch.Tensor
) -> torch.Tensor:
    """Mean over both directions of the softmax cross-entropy between two sets of unit vectors.

    left [A, D], right [B, D], scale the inverse temperature, match bool [A, B] marks the pairs that belong
    together; several matches in a row share the target evenly. Rows without a match don't count.
    """
    scores = (left @ right.t()).float() * scale.float()
    return 0.5 * (_matched(scores, match) + _matched(scores.t(), match.t()))


def _matched(scores: torch.Tensor, match: torch.Tensor) -> torch.Tensor:
    rows = match.any(1)
    target = match[rows].float()
    target = target / target.sum(1, keepdim=True)
    return -(target * F.log_softmax(scores[rows], dim=1)).sum(1).mean()
