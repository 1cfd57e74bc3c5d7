"""What a source looks like in numbers: histograms of lengths, and the scale of its boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tessera.scoring.boxes import find_boxes

_FEW, _MOST = 0.02, 0.9
_BEYOND = 1e9
_DEEPEST = 32
TELLING = 700
"""Side in pixels up to which a picture tells pixels from thousandths."""


@dataclass
class Histogram:
    """Counts of whole numbers. `tops`: the last value of each bar; one more bar holds what is above all."""

    tops: tuple[int, ...]
    counts: NDArray[np.int64] = field(init=False)
    total: int = 0

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(self.tops) + 1, dtype=np.int64)

    def add(self, values: ArrayLike) -> None:
        """Count more values: int [N]."""
        numbers = np.asarray(values, dtype=np.int64)
        self.counts += np.bincount(np.searchsorted(self.tops, numbers), minlength=len(self.counts))
        self.total += int(numbers.sum())

    @property
    def labels(self) -> list[str]:
        """What each bar holds: `1-64`."""
        firsts = (0, *(top + 1 for top in self.tops))
        spans = zip(firsts, self.tops, strict=False)
        return [f"{a:,}" if a == b else f"{a:,}-{b:,}" for a, b in spans] + [f"> {self.tops[-1]:,}"]

    @property
    def above(self) -> int:
        """How many lie above the last bar's top."""
        return int(self.counts[-1])


def token_histogram(limit: int) -> Histogram:
    """Bars that double, from limit / 256 to the limit."""
    return Histogram(tuple(sorted({max(1, limit >> step) for step in range(8, -1, -1)})))


def tile_histogram(limit: int) -> Histogram:
    """Bars for 0, 1, 2 … tiles, wider towards the limit."""
    tops = [0, 1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 24, 32, 40, 48, 64, 96, 128]
    return Histogram((*(top for top in tops if top < limit), limit))


@dataclass
class BoxEvidence:
    """Boxes seen, and what speaks for each scale of their numbers.

    fractions: all four within 0 to 1, not all whole; above: a number above 1000; sized: the picture's size is
    known and so small that numbers up to 1000 would often leave it; leaving: of these, boxes that do.
    """

    boxes: int = 0
    fractions: int = 0
    above: int = 0
    sized: int = 0
    leaving: int = 0
    largest: float = 0.0

    def add(self, box: tuple[float, ...], size: tuple[int, int] | None) -> None:
        """Count one box of a picture of this width and height in pixels."""
        top = max(box)
        self.boxes += 1
        self.fractions += top <= 1 and any(side != int(side) for side in box)
        self.above += top > 1000
        self.largest = max(self.largest, top)
        if size is not None and min(size) <= TELLING:
            self.sized += 1
            self.leaving += max(box[0], box[2]) > size[0] or max(box[1], box[3]) > size[1]

    def merge(self, other: BoxEvidence) -> None:
        """Add what another part of the source showed."""
        self.boxes, self.fractions = self.boxes + other.boxes, self.fractions + other.fractions
        self.above, self.sized = self.above + other.above, self.sized + other.sized
        self.leaving, self.largest = self.leaving + other.leaving, max(self.largest, other.largest)

    def guess(self) -> tuple[str, str]:
        """The scale (`0-1`, `0-1000`, `pixels`, `unclear`, `none`) and the evidence in words."""
        if not self.boxes:
            return "none", "no boxes"
        if self.fractions >= _MOST * self.boxes:
            return "0-1", f"{self.fractions} of {self.boxes} boxes are fractions up to {self.largest:g}"
        if self.fractions > _FEW * self.boxes:
            return "unclear", f"{self.fractions} of {self.boxes} boxes are fractions, the others are not"
        if self.above > _FEW * self.boxes:
            return (
                "pixels",
                f"{self.above} of {self.boxes} boxes have numbers above 1000, up to {self.largest:g}",
            )
        if self.leaving > _FEW * self.sized:
            return "0-1000", (
                f"{self.boxes - self.above} of {self.boxes} boxes stay below 1000; as pixels {self.leaving} "
                f"of {self.sized} would leave their pictures"
            )
        if self.sized >= 20:
            return "pixels", f"all but {self.leaving} of {self.sized} boxes stay in their pictures as pixels"
        return "0-1000", f"largest number {self.largest:g}; too few pictures of known size to exclude pixels"


def boxes_in(value: Any, depth: int = 0) -> Iterator[tuple[float, ...]]:
    """Every list of four numbers in a record: in texts, and outside of them (ms-swift's `objects.bbox`)."""
    if isinstance(value, str):
        if "[" in value:
            for box in find_boxes(value):
                if max(map(abs, box)) < _BEYOND:
                    yield box
    elif depth < _DEEPEST and isinstance(value, dict):
        for entry in value.values():
            yield from boxes_in(entry, depth + 1)
    elif depth < _DEEPEST and isinstance(value, list | tuple):
        if len(value) == 4 and all(
            type(side) in (int, float) and -_BEYOND < side < _BEYOND for side in value
        ):
            yield tuple(map(float, value))
            return
        for entry in value:
            yield from boxes_in(entry, depth + 1)
