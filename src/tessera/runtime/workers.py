"""A function over keys in worker processes, results in the order of the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

Key = TypeVar("Key")
Result = TypeVar("Result")


def map_in_workers(
    function: Callable[[Key], Result], keys: Iterable[Key], workers: int, prefetch: int
) -> Iterator[Result]:
    """`function` of every key, in order; `workers` processes stay `prefetch` keys ahead each, 0 works here.

    The function must be picklable. Tensors in results come through shared memory. Keys are drawn in this
    process, ahead of the results.
    """
    # In this process a debugger can step in, and small jobs start at once.
    if not workers:
        return map(function, keys)
    return iter(
        DataLoader(
            _Mapped(function),
            batch_size=None,
            sampler=keys,  # torch only iterates over it
            num_workers=workers,
            prefetch_factor=prefetch,
            collate_fn=_unchanged,
            # Its own generator: the default would advance torch's global one and change the run.
            generator=torch.Generator(),
        )
    )


def map_in_chunks(
    function: Callable[[tuple[int, int]], Result], size: int, chunk: int, workers: int
) -> Iterator[Result]:
    """`function` of (first, one past the last) of every `chunk` of the numbers 0 to size - 1, in order."""
    bounds = [(first, min(first + chunk, size)) for first in range(0, size, chunk)]
    return map_in_workers(function, bounds, workers if len(bounds) > 1 else 0, prefetch=4)


class _Mapped(Dataset[Result], Generic[Key, Result]):
    """Map-style view for torch's DataLoader: the index is the key."""

    def __init__(self, function: Callable[[Key], Result]) -> None:
        self._function = function

    def __getitem__(self, key: Any) -> Result:
        return self._function(key)


def _unchanged(item: Any) -> Any:
    """Stands in for DataLoader's conversion of arrays to tensors."""
    return item
