"""What a caller holds while its answer is made: events in order, a way to cancel, and the answer."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass

from tessera.engine.completion import Completion, Finish, Link, TokenLogprob
from tessera.engine.core.waking import News, wake


@dataclass(frozen=True)
class Event:
    """One step of an answer: its new tokens and the text that they make certain; `finish` on the last one.

    `logprobs`: one for each of `ids`, where the sampling asks for them. `fault`: why it "failed". `found`: on
    the last one, tokens of the prompt that the cache held already. `links`: those whose states are whole now.
    """

    piece: str
    ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Finish | None = None
    fault: str = ""
    found: int = 0
    links: tuple[Link, ...] = ()


class Ticket(Iterator[Event], AsyncIterator[Event]):
    """Events of one answer, for a thread (`for`) or a coroutine (`async for`), each handed out once.

    until: called by a thread that needs an event, with what it waits for; it returns when that is so. due:
    called with the coroutines for which there is news; wakes them, perhaps together with others.
    """

    def __init__(
        self,
        until: Callable[[Callable[[], bool]], None],
        due: Callable[[Iterable[News]], object] = wake,
    ) -> None:
        self.cancelled = False
        """Whether the answer is no longer wanted; it ends with "cancelled" before the next step."""
        self._until, self._due = until, due
        self._changing = threading.Lock()
        self._events: deque[Event] = deque()
        self._completion: Completion | None = None
        self._waiting: list[News] = []

    def cancel(self) -> None:
        """The answer is no longer wanted; one that is over stays as it is."""
        self.cancelled = True

    def put(self, event: Event, completion: Completion | None = None) -> None:
        """The engine's side: one more event; the last comes with the answer."""
        with self._changing:
            self._events.append(event)
            self._completion = completion
            waiting, self._waiting = self._waiting, []
        self._due(waiting)

    @property
    def over(self) -> bool:
        """Whether no more events will be made."""
        return self._completion is not None

    @property
    def ready(self) -> bool:
        """Whether the next event, or the end, can be had without waiting."""
        return bool(self._events) or self.over

    def __next__(self) -> Event:
        while (event := self._next()) is None:
            self._until(lambda: self.ready)
        if isinstance(event, Event):
            return event
        raise StopIteration

    async def __anext__(self) -> Event:
        while (event := self._next()) is None:
            await self._woken()
        if isinstance(event, Event):
            return event
        raise StopAsyncIteration

    def _next(self) -> Event | Completion | None:
        """The next event; the answer where there is none left, None where there is none yet."""
        completion = self._completion  # looked at first: its event came with it
        return self._events.popleft() if self._events else completion

    def completion(self) -> Completion:
        """The whole answer, when it is over; events stay to be read."""
        self._until(lambda: self.over)
        assert self._completion is not None
        return self._completion

    async def acompletion(self) -> Completion:
        """`completion` for a coroutine."""
        while not self.over:
            await self._woken(over=True)
        return self.completion()

    async def _woken(self, over: bool = False) -> None:
        """Until the next event comes, or is there already; with `over` those that are there don't count."""
        news = asyncio.get_running_loop().create_future()
        with self._changing:
            if self.over or (self._events and not over):
                return
            self._waiting.append(news)
        await news
