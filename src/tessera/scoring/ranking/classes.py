"""Zero-shot classification in figures: top-1, top-5, and the recall of every class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FIVE = 5


@dataclass(frozen=True)
class ClassFigures:
    """Percent of pictures, all and by class. `per_class` holds classes that occur: (pictures, right at 1)."""

    pictures: int
    acc1: float
    acc5: float | None
    """None with fewer than five classes, as published (docs/facts/embedding.md)."""
    per_class: dict[int, tuple[int, int]]
    confused: dict[int, tuple[int, int]]
    """Class -> the class that it was most often taken for, and how often; only where it was."""

    @property
    def mean_per_class_recall(self) -> float:
        """Mean over classes that occur of the percent that is right."""
        return 100 * sum(right / count for count, right in self.per_class.values()) / len(self.per_class)


def class_figures(truths: Iterable[int], guesses: Iterable[Sequence[int]], classes: int) -> ClassFigures:
    """Figures of pictures: the right class of each, and its best classes, best first, five or all there are.

    Raises ValueError when there is no picture.
    """
    counts: Counter[int] = Counter()
    right: Counter[int] = Counter()
    wrong: dict[int, Counter[int]] = {}
    among_five = 0
    for truth, best in zip(truths, guesses, strict=True):
        counts[truth] += 1
        right[truth] += best[0] == truth
        among_five += truth in best[:FIVE]
        if best[0] != truth:
            wrong.setdefault(truth, Counter())[best[0]] += 1
    if not (pictures := counts.total()):
        raise ValueError("pictures: none given, so there is no accuracy")
    return ClassFigures(
        pictures,
        100 * right.total() / pictures,
        100 * among_five / pictures if classes >= FIVE else None,
        {number: (counts[number], right[number]) for number in sorted(counts)},
        {number: wrong[number].most_common(1)[0] for number in sorted(wrong)},
    )
