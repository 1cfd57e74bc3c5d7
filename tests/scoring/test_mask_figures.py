"""Measures of masks, on cases that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.scoring.grounding.masks import MaskCounts, count_masks, join_masks, mask_figures


def test_counts() -> None:
    said = np.array([[1, 1, 0], [0, 0, 0]], dtype=np.bool_)
    right = np.array([[0, 1, 1], [0, 1, 0]], dtype=np.bool_)
    assert count_masks(said, right) == MaskCounts(intersection=1, union=4, said=2, right=3)
    assert join_masks([said, right], (2, 3)).sum() == 4 and not join_masks([], (2, 3)).any()
    with pytest.raises(ValueError, match=r"masks of \(2, 3\) and \(1, 3\) pixels"):
        count_masks(said, right[:1])


def test_figures() -> None:
    """A half, three quarters of a large one, and where nothing is right: nothing said, something said."""
    counts = [
        MaskCounts(5, 10, 5, 10),
        MaskCounts(75, 100, 75, 100),
        MaskCounts(0, 0, 0, 0),
        MaskCounts(0, 8, 8, 0),
    ]
    figures = mask_figures(counts)
    assert figures["cIoU"] == pytest.approx(100 * 80 / 118)
    assert figures["gIoU"] == pytest.approx(100 * (0.5 + 0.75 + 1 + 0) / 4)
    assert figures["mIoU"] == pytest.approx(100 * (0.5 + 0.75) / 2)
    assert [figures[f"P@{level}"] for level in (0.5, 0.7, 0.8)] == [50, 50, 0]
    assert (figures["N-acc"], figures["T-acc"]) == (50, 100)
    assert "N-acc" not in mask_figures(counts[:2]) and "mIoU" not in mask_figures(counts[2:])
    assert mask_figures(counts[2:3])["cIoU"] == 100
    with pytest.raises(ValueError, match="counts is empty"):
        mask_figures([])
