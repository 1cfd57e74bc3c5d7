"""Masks against masks: what referring segmentation is measured by (docs/facts/links.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class MaskCounts:
    """Pixels of one expression: of both masks, of either, of what was said and of what is right."""

    intersection: int
    union: int
    said: int
    right: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1 where both are empty."""
        return self.intersection / self.union if self.union else 1.0


def count_masks(said: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> MaskCounts:
    """Counts of two masks bool [H, W]. ValueError for other shapes."""
    if said.shape != right.shape:
        raise ValueError(f"masks of {said.shape} and {right.shape} pixels; resize one of them")
    both, either = int((said & right).sum()), int((said | right).sum())
    return MaskCounts(both, either, int(said.sum()), int(right.sum()))


def join_masks(masks: Sequence[npt.NDArray[np.bool_]], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """All pixels of several masks bool [H, W]; none of none. gRefCOCO measures an expression so."""
    joined = np.zeros(shape, dtype=np.bool_)
    for mask in masks:
        joined |= mask
    return joined


def mask_figures(counts: Sequence[MaskCounts]) -> Mapping[str, float]:
    """cIoU, gIoU, mIoU, P@0.5 to P@0.9, N-acc and T-acc, each times 100, as far as there are cases for them.

    cIoU adds pixels up over all expressions. gIoU counts an expression that names nothing as 1 where nothing
    is masked, else as 0. mIoU and P@ are over expressions that name something.
    """
    if not counts:
        raise ValueError("counts is empty: measure at least one expression")
    union = sum(each.union for each in counts)
    named, nothing = [each for each in counts if each.right], [each for each in counts if not each.right]
    figures = {
        "cIoU": 100 * sum(each.intersection for each in counts) / union if union else 100.0,
        "gIoU": _mean([each.iou for each in counts]),
    }
    if named:
        figures["mIoU"] = _mean([each.iou for each in named])
        figures |= {f"P@{level}": _mean([float(each.iou > level) for each in named]) for level in LEVELS}
        figures["T-acc"] = _mean([float(each.said > 0) for each in named])
    if nothing:
        figures["N-acc"] = _mean([float(each.said == 0) for each in nothing])
    return figures


def _mean(shares: Sequence[float]) -> float:
    return 100 * sum(shares) / len(shares)
