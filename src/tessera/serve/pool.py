"""Work off the event loop: so many threads, and nothing is given back before its work is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class WorkPool:
    """Threads for decoding and encoding."""

    def __init__(self, threads: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, f"tessera-{name}")

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, done in a thread.

        Who is cancelled waits until work that has begun is through: what it holds (memory, files, a place in
        the line) must not be given to others before.
        """
        begun = self._threads.submit(work)
        over = asyncio.wrap_future(begun)
        try:
            return await asyncio.shield(over)
        except asyncio.CancelledError:
            if not begun.cancel():
                await asyncio.wait([over])
            raise

    def close(self) -> None:
        """Begin nothing more, and wait for what has begun."""
        self._threads.shutdown(cancel_futures=True)
