"""Intersection over union as the peers compute it; they differ where boxes are empty or turned."""

from __future__ import annotations

import numpy as np

from tessera.scoring.boxes import Box


def official_overlap(said: Box, right: Box, pixel: float = 0.0) -> float:
    """With sides as they are: a box turned in one direction has a negative area. 0 where both are empty.

    pixel: added to every side; 1 is DIOR-RSVG's convention, in which the last pixel belongs to the box.
    """
    wide = max(0.0, min(said[2], right[2]) - max(said[0], right[0]) + pixel)
    high = max(0.0, min(said[3], right[3]) - max(said[1], right[1]) + pixel)
    areas = [(box[2] - box[0] + pixel) * (box[3] - box[1] + pixel) for box in (said, right)]
    union = sum(areas) - wide * high
    return wide * high / union if union else 0.0


def single_precision_overlap(shares: Box, right: Box, width: float, height: float, scale: float) -> float:
    """`official_overlap` of float32 values, step by step as RefCOCO's script: scaled, then to pixels.

    Boxes whose four numbers sum to less than 4 are shares already.
    """
    with np.errstate(all="ignore"):
        box = np.array(shares, dtype=np.float32)
        meant = np.array(right, dtype=np.float32)
        if box.sum(dtype=np.float32) >= 4:
            box = box / np.float32(scale)
        box = box * np.array((width, height, width, height), dtype=np.float32)
        sides = np.maximum(np.minimum(box[2:], meant[2:]) - np.maximum(box[:2], meant[:2]), np.float32(0))
        inner = sides[0] * sides[1]
        areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (box, meant)]
        overlap = float(inner / (areas[0] + areas[1] - inner))
    return overlap if overlap == overlap else 0.0
