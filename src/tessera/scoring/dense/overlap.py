"""mIoU, aAcc and mAcc of segmentation (docs/facts/backbone.md): counts over all pictures, then ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

IGNORED = 255
"""Label of pixels that count nowhere."""


@dataclass(frozen=True)
class Overlap:
    """Counts of pixels by right class and predicted one, over any number of pictures."""

    table: tuple[tuple[int, ...], ...]
    """Row: the right class; column: the predicted one."""

    def __add__(self, other: Overlap) -> Overlap:
        """Of both. ValueError for another number of classes."""
        rows = zip(self.table, other.table, strict=True)
        return Overlap(tuple(tuple(map(sum, zip(a, b, strict=True))) for a, b in rows))

    @property
    def pixels(self) -> int:
        """Pixels that count."""
        return sum(map(sum, self.table))

    def figures(self) -> OverlapFigures:
        """Percent. ValueError where no pixel counts."""
        if not self.pixels:
            raise ValueError("no pixel has a label that counts: nothing can be measured")
        right = [row[number] for number, row in enumerate(self.table)]
        held = [sum(row) for row in self.table]
        said = [sum(column) for column in zip(*self.table, strict=True)]
        union = [a + b - c for a, b, c in zip(held, said, right, strict=True)]
        iou = tuple(map(_percent, right, union))
        recall = tuple(map(_percent, right, held))
        return OverlapFigures(_mean(iou), 100 * sum(right) / self.pixels, _mean(recall), iou, recall)


@dataclass(frozen=True)
class OverlapFigures:
    """Percent. A class that neither occurs nor is predicted has no overlap; one that doesn't occur has no
    recall: None, and left out of the means."""

    miou: float
    aacc: float
    """Right pixels of all."""
    macc: float
    """Mean over classes of right pixels by the pixels of the class."""
    iou: tuple[float | None, ...]
    recall: tuple[float | None, ...]


def count_overlap(right: Sequence[int], predicted: Sequence[int], classes: int) -> Overlap:
    """The counts of one picture's pixels, given in the same order; those with the label 255 count nowhere.

    Slow and plain; `Overlap` also takes counts made otherwise. ValueError for a class that there is not.
    """
    table = [[0] * classes for _ in range(classes)]
    for wanted, said in zip(right, predicted, strict=True):
        if wanted == IGNORED:
            continue
        if not (0 <= wanted < classes and 0 <= said < classes):
            raise ValueError(f"label {wanted} predicted as {said}: there are classes 0 to {classes - 1}")
        table[wanted][said] += 1
    return Overlap(tuple(map(tuple, table)))


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _mean(values: Sequence[float | None]) -> float:
    told = [value for value in values if value is not None]
    return sum(told) / len(told)
