"""Many questions at once: what is told of the one that is wrong, and pixels that are read ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from tessera.chat.message import Conversation

A = TypeVar("A")
B = TypeVar("B")
AHEAD = 2
"""Questions that are made ready while others are answered."""


class FailedItems(ValueError):
    """Items of a batch failed. `answers` has all, None for these; `faults`: index -> reason."""

    def __init__(self, answers: Sequence[Any], faults: Mapping[int, str]) -> None:
        first, reason = next(iter(faults.items()))
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"items[{first}]{more}: {reason}")
        self.faults = dict(faults)
        self.answers: list[Any] = [None if i in faults else answer for i, answer in enumerate(answers)]


def check_items(items: object) -> None:
    """ValueError for one question in the place of many."""
    if isinstance(items, str | bytes | Mapping | Conversation):
        raise ValueError(
            f"items: {type(items).__name__} is one question; ask it with chat(...), or give a list"
        )
    if (
        isinstance(items, list | tuple)
        and items
        and all(isinstance(i, Mapping) and "role" in i for i in items)
    ):
        raise ValueError(
            "items: these are the messages of one talk; ask with chat(messages), or give [messages]"
        )
    if not isinstance(items, Iterable):
        raise ValueError(f"items: {type(items).__name__} is no list; give a list of questions")


def named(index: int, make: Callable[[A], B], given: A) -> B:
    """`make(given)`; what is wrong with it is told with its index."""
    try:
        return make(given)
    except (ValueError, OSError) as error:
        raise ValueError(f"items[{index}]: {error}") from error


def made_ahead(make: Callable[[A], B], given: Iterable[A]) -> Iterator[B]:
    """`make` of each, in order; a thread makes the next while the last is in use."""
    with ThreadPoolExecutor(1, "tessera-prepare") as pool:
        upcoming: deque[Future[B]] = deque()
        for one in given:
            upcoming.append(pool.submit(make, one))
            if len(upcoming) > AHEAD:
                yield upcoming.popleft().result()
        while upcoming:
            yield upcoming.popleft().result()
