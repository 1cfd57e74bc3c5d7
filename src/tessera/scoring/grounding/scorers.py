"""Scorers of boxes and points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from tessera.scoring.boxes import Box, box_iou
from tessera.scoring.grounding.overlap import official_overlap, single_precision_overlap
from tessera.scoring.grounding.said_boxes import (
    NO_BOX,
    listed_box,
    official_box,
    plain_box,
    spaced_box,
    stretched,
)
from tessera.scoring.grounding.said_points import Point, any_numbers, click_point, marked_point
from tessera.scoring.grounding.truth import BoxColumns
from tessera.scoring.settings import number, one_of
from tessera.scoring.verdict import Reference, Scorer, Verdict

Overlap = Callable[[str, Reference, BoxColumns], tuple[Box | None, float]]
"""Answer, question and columns to the box that is said and its overlap with the right one."""


def refcoco_scorer(
    rules: str = "official",
    threshold: float = 0.5,
    box: str | Sequence[str] = "bbox",
    form: str = "xyxy",
    unit: str = "pixels",
    width: str = "width",
    height: str = "height",
    size: str | None = None,
) -> Scorer:
    """1 where the overlap of the first box with the right one is at least `threshold`.

    Where the right box stands: see `BoxColumns`. parts: `iou`.
    """
    overlap, least = _OVERLAPS[one_of("rules", rules, _OVERLAPS)], number("threshold", threshold, 0, 1)
    where = BoxColumns(box, form, unit, width, height, size)
    return _box_scorer(overlap, where, lambda iou: iou >= least)


def rsvg_scorer(
    threshold: float = 0.5,
    box: str | Sequence[str] = "bbox",
    form: str = "xyxy",
    unit: str = "pixels",
    width: str = "width",
    height: str = "height",
    size: str | None = None,
) -> Scorer:
    """DIOR-RSVG: 1 where the overlap exceeds `threshold`, the last pixel counted as part of a box."""
    above = number("threshold", threshold, 0, 1)
    where = BoxColumns(box, form, unit, width, height, size)
    return _box_scorer(_rsvg, where, lambda iou: iou > above)


def click_scorer(
    rules: str = "official",
    box: str | Sequence[str] = "bbox",
    form: str = "xywh",
    unit: str = "pixels",
    width: str = "width",
    height: str = "height",
    size: str | None = None,
) -> Scorer:
    """ScreenSpot: 1 where the point, or the middle of the box, falls into the right box, its border included.

    rules: official is VLMEvalKit with what its InternVL model does (there a box ends one pixel earlier);
    lmms-eval is that of version 2; marked takes `<point>`, `[[x, y]]` and boxes.
    """
    read = _POINTS[one_of("rules", rules, _POINTS)]
    where = BoxColumns(box, form, unit, width, height, size)
    shorter = 1.0 if rules in ("official", "vlmevalkit") else 0.0

    def score(prediction: str, reference: Reference, /) -> Verdict:
        point = read(prediction)
        if point is None:
            return Verdict(0.0, None, "no point")
        x0, y0, x1, y1 = _shorter(reference, where, shorter)
        if max(point) > 1:
            wide, high = where.sides(reference)
            point = point[0] / wide, point[1] / high
        inside = x0 <= point[0] <= x1 and y0 <= point[1] <= y1
        return Verdict(float(inside), f"{point[0]:.4g}, {point[1]:.4g}", "inside" if inside else "outside")

    return score


def _shorter(reference: Reference, where: BoxColumns, pixel: float) -> Box:
    if not pixel or where.unit != "pixels":
        return where.shares(reference)
    wide, high = where.sides(reference)
    x0, y0, x1, y1 = where.pixels(reference)
    x0, y0, x1, y1 = (0.0 if side == -1 else side for side in (x0, y0, x1 - pixel, y1 - pixel))
    return x0 / wide, y0 / high, x1 / wide, y1 / high


def _box_scorer(overlap: Overlap, where: BoxColumns, hit: Callable[[float], bool]) -> Scorer:
    def score(prediction: str, reference: Reference, /) -> Verdict:
        box, iou = overlap(prediction, reference, where)
        shown = None if box is None else ", ".join(f"{side:.6g}" for side in box)
        why = "no box" if box is None else f"overlap {iou:.3f}"
        return Verdict(float(hit(iou)), shown, why, {"iou": iou})

    return score


def _official(prediction: str, reference: Reference, where: BoxColumns) -> tuple[Box | None, float]:
    box, (wide, high) = official_box(prediction), where.sides(reference)
    return box, single_precision_overlap(box or NO_BOX, where.pixels(reference), wide, high, 1000.0)


def _vlmevalkit(prediction: str, reference: Reference, where: BoxColumns) -> tuple[Box | None, float]:
    box = spaced_box(prediction)
    box = box and stretched(box, where.sides(reference))
    return box, box_iou(box, where.pixels(reference)) if box else 0.0


def _lmms_eval(prediction: str, reference: Reference, where: BoxColumns) -> tuple[Box | None, float]:
    box = plain_box(prediction)
    return box, official_overlap(box or NO_BOX, where.shares(reference))


def _rsvg(prediction: str, reference: Reference, where: BoxColumns) -> tuple[Box | None, float]:
    box = listed_box(prediction, where.sides(reference))
    return box, official_overlap(box, where.pixels(reference), pixel=1.0) if box else 0.0


_OVERLAPS: Mapping[str, Overlap] = MappingProxyType(
    {"official": _official, "vlmevalkit": _vlmevalkit, "lmms-eval": _lmms_eval}
)
_POINTS: Mapping[str, Callable[[str], Point | None]] = MappingProxyType(
    {"official": click_point, "vlmevalkit": click_point, "lmms-eval": any_numbers, "marked": marked_point}
)
