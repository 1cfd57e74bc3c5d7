"""A few of many at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`, the last one shorter; no more than one list is held."""
    stream = iter(items)
    while some := list(islice(stream, size)):
        yield some
