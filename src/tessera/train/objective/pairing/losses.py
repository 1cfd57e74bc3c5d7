"""The losses of the pair, from states to scalars (docs/facts/pair.md)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from tessera.train.objective.contrastive import matched_loss
from tessera.train.objective.pairing.gathering import gather
from tessera.train.parallel.ranks import ALONE, Ranks


def contrastive_loss(
    images: torch.Tensor,
    texts: torch.Tensor,
    scale: torch.Tensor,
    image_ids: torch.Tensor | None = None,
    counted: torch.Tensor | None = None,
    smoothing: float = 0.0,
    ranks: Ranks = ALONE,
) -> torch.Tensor:
    """Mean over this process's rows of both directions' cross-entropy, against rows of all processes.

    images, texts: unit rows [N, W]. scale: scalar. image_ids int64 [N]: pairs of one id share the target
    evenly; None: a row belongs to its own pair alone. counted bool [N]: rows that ask; None: all. smoothing:
    share of the target that goes to all rows evenly.
    """
    match = _match(len(images), image_ids, ranks)
    if counted is not None:
        match &= counted[:, None]
    by_image = scale.float() * (images @ gather(texts, ranks).T).float()
    by_text = scale.float() * (texts @ gather(images, ranks).T).float()
    return 0.5 * (matched_loss(by_image, match, smoothing) + matched_loss(by_text, match, smoothing))


def _match(count: int, image_ids: torch.Tensor | None, ranks: Ranks) -> torch.Tensor:
    """bool [N, N of all]: whose caption fits."""
    if image_ids is None:
        return torch.eye(count * ranks.world, dtype=torch.bool)[ranks.rank * count :][:count]
    return image_ids[:, None] == gather(image_ids, ranks)


def matching_loss(
    logits: torch.Tensor, fits: torch.Tensor, counted: torch.Tensor | None = None
) -> torch.Tensor:
    """Two-class cross-entropy of logits [N, Q, 2], averaged over the queries first.

    fits bool [N]: whether picture and text belong together, class 1. counted bool [N]: texts that are not
    empty; None: all.
    """
    scores, label = logits.float().mean(1), fits.long().to(logits.device)
    if counted is not None:
        keep = counted.to(logits.device)
        scores, label = scores[keep], label[keep]
    return F.cross_entropy(scores, label, reduction="sum") / max(1, len(label))


def generation_rows(lengths: Sequence[int], prompt: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places int64 [M] in texts laid end to end: those that are learned, and those that predict them.

    Every token behind the prompt is learned, by the state of the token before it.
    """
    learned: list[int] = []
    start = 0
    for length in lengths:
        learned += range(start + prompt, start + length)
        start += length
    places = torch.tensor(learned)
    return places, places - 1
