"""A thread that steps, for servers and coroutines: requests come and go while it runs."""

from __future__ import annotations

import logging
import threading
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from tessera.chat.encoder import Encoded
from tessera.engine.completion import Finish
from tessera.engine.core.loop import EngineStats
from tessera.engine.core.ticket import Ticket
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling

logger = logging.getLogger("tessera")
ENDED = "the engine's thread has ended, for a reason that its log tells"
CLOSED = "the engine's service is closed: make another"
GLANCE = 0.02
"""Seconds between two looks at whether all are through."""


class Service:
    """Answers requests of one engine in a thread of its own until `close`.

    Preparing a request, pixels included, is its caller's work and happens in the caller's thread. A step that
    fails ends the requests that were there with its reason; the thread goes on. Should the thread itself end,
    every ticket gets the reason, and `submit` refuses.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._loop = engine.loop
        if self._loop.driven:
            raise ValueError("engine: another service runs on it; close that one, or share it")
        self._gate = threading.Lock()
        self._closing = self._stopping = False
        self._loop.driven = True
        self._thread = threading.Thread(target=self._run, name="tessera-engine", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(
        self,
        prompt: Encoded,
        sampling: Sampling,
        visual_increment: float | None = None,
        owner: str = "",
    ) -> Ticket:
        """Take a request in; owners are served in turn. From any thread; the prompt's tiles are read here.

        Raises ValueError for a prompt that cannot be answered, RuntimeError when the service is closed.
        """
        sequence = self.engine.sequence(prompt, sampling, visual_increment, owner)
        with self._gate:
            if self._closing:
                raise RuntimeError(CLOSED)
            return self._loop.submit(sequence)

    def stats(self) -> EngineStats:
        """What runs and waits now, and what was done."""
        return self._loop.stats()

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive() and not self._closing

    def close(self, drain: float = 0.0) -> None:
        """Take no more requests; give those that are here `drain` seconds, then cancel them. Idempotent."""
        with self._gate:
            self._closing = True
        end = monotonic() + drain
        while self._loop.busy and self._thread.is_alive() and monotonic() < end:
            sleep(GLANCE)
        self._stopping = True
        self._loop.work.set()
        if threading.current_thread() is not self._thread:  # where the last use of a model may end
            self._thread.join()

    def _run(self) -> None:
        finish: Finish = "failed"
        try:
            while not self._stopping:
                self._loop.work.wait()
                self._loop.work.clear()
                self._serve()
            finish = "cancelled"
        finally:
            with self._gate:
                self._closing = True
            self._loop.driven = False
            self._loop.end_all(finish, ENDED if finish == "failed" else "")

    def _serve(self) -> None:
        """Step until nobody is left."""
        try:
            while self._loop.busy and not self._stopping:
                self._loop.step()
        except (RuntimeError, ValueError):  # its requests have been told; perhaps it was their doing
            logger.exception("a step of the engine failed")
            self._loop.work.set()
