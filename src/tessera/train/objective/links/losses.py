"""What is wrong with a mask, for each mask: cross-entropy of its pixels, and Dice's overlap."""

import torch
from torch.nn import functional as F


def pixel_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy float32 [M] of logits [M, h, w]; target float [M, h, w], shares covered."""
    return F.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none").mean((1, 2))


def dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """1 - 2 |A B| / (|A| + |B|) float32 [M], of chances [M, h, w]; one is added above and below the line."""
    chances, target = logits.float().sigmoid(), target.float()
    both = (chances * target).sum((1, 2))
    return 1 - (2 * both + 1) / (chances.sum((1, 2)) + target.sum((1, 2)) + 1)
