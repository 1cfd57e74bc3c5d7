"""Several answers that are made at once, as one line of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from tessera.engine.core.ticket import Event, Ticket

Events = AsyncGenerator[tuple[int, Event], None]
"""The number of an answer, and what happened to it."""


async def merged(tickets: Sequence[Ticket], first: Callable[[], object]) -> Events:
    """Events of several answers as they come, each with the number of its ticket; `first` is called when the
    first one comes."""
    if len(tickets) == 1:  # as nearly always: no line, and no task that stands in it
        async for told in tickets[0]:
            first()
            first = _nothing
            yield 0, told
        return
    line: asyncio.Queue[tuple[int, Event | None]] = asyncio.Queue()

    async def read(number: int, ticket: Ticket) -> None:
        try:
            async for event in ticket:
                line.put_nowait((number, event))
        finally:
            line.put_nowait((number, None))

    tasks = [asyncio.ensure_future(read(*entry)) for entry in enumerate(tickets)]
    try:
        left = len(tasks)
        while left:
            number, event = await line.get()
            first()
            first = _nothing
            if event is not None:
                yield number, event
            else:
                left -= 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _nothing() -> None:
    """All but the first event are not told."""
