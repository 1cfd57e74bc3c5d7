"""Who may come in: requests at once, for all and for each owner; amounts in order of arrival."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tessera.serve.faults import ApiFault


class Gate:
    """Counts the requests inside. Once `closed`, nobody comes in any more."""

    def __init__(self, most: int, most_per_owner: int) -> None:
        self.most, self.most_per_owner = most, most_per_owner
        self.inside: Counter[str] = Counter()
        self.closed = False

    @property
    def count(self) -> int:
        """Requests inside."""
        return self.inside.total()

    @contextmanager
    def enter(self, owner: str) -> Iterator[None]:
        """Inside for one owner. ApiFault when the server is closing, full, or full for this owner."""
        if self.closed:
            raise ApiFault(503, "the server is ending; ask another one", "draining", wait=5)
        if self.count >= self.most:
            message = f"{self.count} requests are in work (limits.requests); ask again in a while"
            raise ApiFault(429, message, "server_full", wait=2)
        if self.inside[owner] >= self.most_per_owner:
            message = f"{self.inside[owner]} of your requests are in work (limits.requests_per_key)"
            raise ApiFault(429, f"{message}; wait for one of them", "queue_full", wait=2)
        self.inside[owner] += 1
        try:
            yield
        finally:
            self.inside[owner] -= 1
            self.inside += Counter()  # owners without requests are forgotten


class Stock:
    """Amounts of which only so much is out at once. Who wants more waits; first come, first served.

    The first in line is never overtaken, so that a large request comes in, too.
    """

    def __init__(self, **most: int) -> None:
        self.most, self.out = most, dict.fromkeys(most, 0)
        self._line: deque[tuple[dict[str, int], asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    @asynccontextmanager
    async def hold(self, **wanted: int) -> AsyncIterator[None]:
        """Hold these amounts; waits for them. Each must be within its limit, or the wait would never end."""
        if any(amount > self.most[name] for name, amount in wanted.items()):
            raise ValueError(f"{wanted} is more than there is: {self.most}; refuse it before")
        turn = asyncio.get_running_loop().create_future()
        self._line.append((wanted, turn))
        self._serve()
        try:
            await turn
            yield
        finally:
            if turn.cancelled() or not turn.done():
                self._line = deque(entry for entry in self._line if entry[1] is not turn)
            else:
                for name, amount in wanted.items():
                    self.out[name] -= amount
            self._serve()

    def _serve(self) -> None:
        """Give to the first in line as long as there is enough."""
        while self._line:
            wanted, turn = self._line[0]
            if not turn.cancelled():
                if any(self.out[name] + amount > self.most[name] for name, amount in wanted.items()):
                    return
                for name, amount in wanted.items():
                    self.out[name] += amount
                turn.set_result(None)
            self._line.popleft()
