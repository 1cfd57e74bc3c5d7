"""Figures of boxes and points: RefCOCO's splits, thresholds of overlap, ScreenSpot's six parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tessera.scoring.columns import by_column, column, percent, scores_of
from tessera.scoring.verdict import OVERALL, Aggregate, Graded

_THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)
_PLATFORMS = {"ios": "mobile", "android": "mobile", "macos": "desktop", "windows": "desktop"}


def box_figures(split: str | None = None) -> Aggregate:
    """`OVERALL` is the mean of the splits' shares × 100 (of all questions without a column `split`).

    With the mean overlap and the shares of overlaps of at least 0.1 to 0.9, × 100.
    """

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        splits = by_column(graded, split) if split else {}
        parts = {f"{split}={name}": percent(scores_of(members)) for name, members in splits.items()}
        overall = sum(parts.values()) / len(parts) if parts else percent(scores_of(graded))
        overlaps = [float(each.verdict.parts.get("iou", 0.0)) for each in graded]
        shares = {f"at {least}": percent(float(iou >= least) for iou in overlaps) for least in _THRESHOLDS}
        return {OVERALL: overall} | parts | {"iou": percent(overlaps)} | shares

    return figures


def screen_figures(
    kind: str = "data_type", source: str = "data_source", platform: str | None = None
) -> Aggregate:
    """ScreenSpot: all, text and icon, and each of both on mobile, desktop and web, × 100.

    platform: the column that says it; without one it follows from the source (ios, android, macos, windows;
    any other is web).
    """

    def figures(graded: Sequence[Graded], /) -> Mapping[str, float]:
        groups: dict[str, list[float]] = {}
        for each in graded:
            what = "text" if column(each, kind) == "text" else "icon"
            where = column(each, platform) if platform else _platform(column(each, source))
            for name in (what, where, f"{where}_{what}"):
                groups.setdefault(name, []).append(each.verdict.score)
        return {OVERALL: percent(scores_of(graded))} | {
            name: percent(of) for name, of in sorted(groups.items())
        }

    return figures


def _platform(source: str) -> str:
    return next((platform for system, platform in _PLATFORMS.items() if system in source), "web")
