"""The text-only baseline: what the same questions earn without their pictures."""

from __future__ import annotations

from collections.abc import Sequence

from tessera.evaluation.comparing.differences import FigureDifference, differences_of
from tessera.evaluation.comparing.resampling import Unit
from tessera.scoring.verdict import Aggregate, Graded


def gain_over_blind(
    blind: Sequence[Graded], seen: Sequence[Graded], aggregate: Aggregate, unit: Unit | None = None
) -> dict[str, FigureDifference]:
    """What pictures add to each figure, paired over the questions that were answered both ways.

    ValueError when there are none.
    """
    with_pictures = {one.index: one for one in seen}
    asked = [one for one in blind if one.index in with_pictures]
    if not asked:
        raise ValueError("no question was answered both with its pictures and without them")
    return differences_of(asked, [with_pictures[one.index] for one in asked], aggregate, unit)
