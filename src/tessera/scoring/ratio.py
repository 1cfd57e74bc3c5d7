"""What an aggregate tells of its making, so that intervals of its figures are right and quick."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tessera.scoring.verdict import Graded


@dataclass(frozen=True)
class Ratio:
    """`scale` times the sum of `above` over the sum of `below`; each question gives one number to both.

    A mean has scores above and ones below; the mean of a category has zeros for all other questions. Where
    several questions make one decision (a circular group), the first of them carries it, the others zeros.
    """

    above: Sequence[float]
    below: Sequence[float]
    scale: float = 100.0

    @property
    def value(self) -> float:
        """The figure; NaN where nothing stands below."""
        below = sum(self.below)
        return self.scale * sum(self.above) / below if below else float("nan")


@runtime_checkable
class RatioAggregate(Protocol):
    """An aggregate that tells all or some of its figures as ratios too: their intervals are drawn at once."""

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]: ...

    def ratios(self, graded: Sequence[Graded], /) -> Mapping[str, Ratio]:
        """Figures by the names that calling it gives them."""
        ...


@runtime_checkable
class GroupingAggregate(Protocol):
    """An aggregate that judges some questions together, such as both of a picture: they are drawn whole."""

    def __call__(self, graded: Sequence[Graded], /) -> Mapping[str, float]: ...

    def together(self, graded: Sequence[Graded], /) -> Sequence[Hashable]:
        """Of every question in order: equal for those that belong together."""
        ...
