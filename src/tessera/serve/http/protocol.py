"""uvicorn's h11 protocol with a limit on the time between two requests' headers."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedProtocol(H11Protocol):
    """Closes a connection whose next request does not come in time: slow headers, or a body nobody reads.

    uvicorn itself waits for ever where a first byte has come. Idle connections are its own business.
    """

    head_seconds = 20.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The time begins."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """A request that has begun has limits of its own."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """The time begins where the answer came before the whole body."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for."""
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        between = self.conn.their_state in (h11.IDLE, h11.DONE) and not self.conn.trailing_data[0]
        if answering or (self.cycle is not None and between):
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def timed_protocol(seconds: float) -> type[Any]:
    """The protocol with a limit of so many seconds; uvicorn wants a class."""
    return type("TimedProtocol", (TimedProtocol,), {"head_seconds": seconds})
