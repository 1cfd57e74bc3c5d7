"""Which tokens may be drawn: top-k, then top-p, then min-p, each row of scores by its own request.

Every cut is a lowest score that stays, so that equal scores stay or go together and no order of sorting has
a part in it. The order is that of transformers.
"""

from collections.abc import Sequence

import torch

from tessera.engine.sampling.options import Sampling

OFF = float("-inf")
FEW = 1024
"""Best tokens among which the border of top-p is looked for before all are sorted."""


def cut_rows(scores: torch.Tensor, samplings: Sequence[Sampling]) -> torch.Tensor:
    """Scores float32 [B, V] that were divided by their temperatures; what may not be drawn is off."""
    if any(0 < s.top_k < scores.shape[-1] for s in samplings):
        scores = _above(scores, _top_k_floor(scores, [s.top_k for s in samplings]))
    floors = []
    if any(s.top_p < 1 for s in samplings):
        floors.append(_top_p_floor(scores, _column(scores, [s.top_p for s in samplings])))
    if any(s.min_p > 0 for s in samplings):
        shares = _column(scores, [s.min_p for s in samplings])
        floors.append(scores.amax(-1, keepdim=True) + shares.log())
    for floor in floors:
        scores = _above(scores, floor)
    return scores


def _column(scores: torch.Tensor, values: Sequence[float]) -> torch.Tensor:
    """One value for each row, [B, 1]."""
    return torch.tensor(values, dtype=scores.dtype, device=scores.device)[:, None]


def _above(scores: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
    return scores.masked_fill(scores < floor, OFF)


def _top_k_floor(scores: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """Each row's k-th best score, [B, 1]; no floor where k is off."""
    size = scores.shape[-1]
    limits = torch.tensor([k if 0 < k < size else 0 for k in counts], device=scores.device)[:, None]
    best = scores.topk(int(limits.max())).values
    return best.gather(-1, (limits - 1).clamp(min=0)).masked_fill(limits == 0, OFF)


def _top_p_floor(scores: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """The lowest score of each row's smallest set of best tokens that reaches its share, [B, 1]."""
    size = scores.shape[-1]
    weights = scores.softmax(-1)
    best, order = scores.topk(min(FEW, size))
    reached = weights.gather(-1, order).cumsum(-1)
    if len(best[0]) < size and (reached[:, -1:] < shares).logical_and(shares < 1).any():
        best, order = scores.sort(descending=True)
        reached = weights.gather(-1, order).cumsum(-1)
    needed = (reached < shares).sum(-1, keepdim=True).clamp(max=best.shape[-1] - 1)
    return best.gather(-1, needed).masked_fill(shares >= 1, OFF)
