"""Waking those who wait for the engine: threads, and coroutines, all of one event loop by one call."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

News = asyncio.Future[None]
"""What a coroutine waits for."""


def wake(waiting: Iterable[News]) -> None:
    """Wake coroutines from another thread.

    A call into an event loop is a write to its pipe and a turn of its own: one for all of them, for each of
    sixty answers gets a token in every step.
    """
    of_loop: dict[asyncio.AbstractEventLoop, list[News]] = {}
    for news in waiting:
        of_loop.setdefault(news.get_loop(), []).append(news)
    for loop, group in of_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_finish, group)


def _finish(group: Iterable[News]) -> None:
    for news in group:
        if not news.done():
            news.set_result(None)


class Bell:
    """Rings when a step is over: for all threads that wait, and for coroutines for which there is news."""

    def __init__(self) -> None:
        self._threads = threading.Condition()
        self._due: deque[News] = deque()

    def wait(self, told: Callable[[], bool]) -> None:
        """Until it is so; looked at whenever the bell rings."""
        with self._threads:
            self._threads.wait_for(told)

    def due(self, waiting: Iterable[News]) -> None:
        """To be woken when the bell rings next."""
        self._due.extend(waiting)

    def ring(self) -> None:
        """Wake them."""
        wake([self._due.popleft() for _ in range(len(self._due))])
        with self._threads:
            self._threads.notify_all()
