"""A function over keys in worker processes, results in the order of the keys."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

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
            _Keys(),
            batch_size=None,
            sampler=keys,  # torch only iterates over it
            num_workers=workers,
            prefetch_factor=prefetch,
            # In place of torch's own, which turns arrays into tensors; without batches it gets one key.
            collate_fn=function,  # type: ignore[arg-type]
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


class _Keys(Dataset[Any]):
    """What torch's DataLoader reads: every key stands for itself."""

    def __getitem__(self, key: Any) -> Any:
        return key
