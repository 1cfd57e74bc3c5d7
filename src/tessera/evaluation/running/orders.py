"""A benchmark's questions followed by the same ones with their options in other orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tessera.evaluation.robustness.option_order import rotations_of
from tessera.evaluation.rows.item import Item


class InAllOrders(Sequence[Item]):
    """Every question behind it with each rotation of its options; read as it is asked for."""

    def __init__(self, items: Sequence[Item], places: Sequence[tuple[int, int]]) -> None:
        self._items, self._places = items, places

    @classmethod
    def of(cls, items: Sequence[Item]) -> InAllOrders:
        """One pass over the questions counts their options."""
        places = [
            (place, order)
            for place, item in enumerate(items)
            for order in range(1 + sum(1 for _ in rotations_of(item.index, item.reference)))
        ]
        return cls(items, places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Item]:
        return (self._item(*place) for place in self._places)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self._item(*each) for each in self._places[place]]
        return self._item(*self._places[place])

    def _item(self, place: int, order: int) -> Item:
        item = self._items[place]
        if not order:
            return item
        index, reference = list(rotations_of(item.index, item.reference))[order - 1]
        return replace(item, index=index, reference=reference)
