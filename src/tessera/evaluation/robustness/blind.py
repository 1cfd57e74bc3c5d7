"""The text-only baseline: what the same questions earn without their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tessera.evaluation.comparing.differences import FigureDifference, differences_of
from tessera.evaluation.comparing.resampling import Unit
from tessera.evaluation.rows.item import Item
from tessera.scoring.verdict import Aggregate, Graded


def without_media(items: Iterable[Item]) -> Iterator[Item]:
    """The same questions without pictures and clips; those that have none are left out: they tell nothing."""
    return (replace(item, media=()) for item in items if item.media)


def gain_over_blind(
    blind: Sequence[Graded], seen: Sequence[Graded], aggregate: Aggregate, unit: Unit | None = None
) -> dict[str, FigureDifference]:
    """What pictures add to each figure, paired over the questions that were asked both ways.

    ValueError when there are none.
    """
    with_pictures = {one.index: one for one in seen}
    asked = [one for one in blind if one.index in with_pictures]
    return differences_of(asked, [with_pictures[one.index] for one in asked], aggregate, unit)
