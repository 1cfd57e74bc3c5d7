"""uvicorn around the application: one socket that is bound early, and an end in which answers finish."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from tessera.serve.admission import Gate
from tessera.serve.http.protocol import timed_protocol
from tessera.serve.settings import ServeLimits

GLANCE = 0.05
"""Seconds between two looks at whether all answers are through."""
CONNECTIONS = 4
"""Open connections for every request that may be inside; idle ones close after five seconds."""


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; 0 takes any free port. ValueError when the address cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=256)
    except (OSError, OverflowError) as error:
        raise ValueError(f"--host {host} --port {port}: {error}; choose another port or address") from error


class DrainingServer(uvicorn.Server):
    """Serves until SIGTERM or SIGINT. Then new requests get 503, and those inside have so many seconds.

    give_up: ends the answers that are left then. A second signal ends at once.
    """

    def __init__(
        self, app: Starlette, gate: Gate, limits: ServeLimits, give_up: Callable[[], object]
    ) -> None:
        config = uvicorn.Config(
            app,
            http=timed_protocol(limits.head_seconds),
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=False,  # anybody could claim any address
            limit_concurrency=CONNECTIONS * limits.requests,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._gate, self._seconds, self._give_up = gate, limits.drain_seconds, give_up

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The signal handler of uvicorn: the first signal closes the gate."""
        self.force_exit = self.should_exit = self._gate.closed
        self._gate.closed = True

    async def on_tick(self, counter: int) -> bool:
        """uvicorn's heartbeat, ten times a second: once the gate is closed, wait for those inside."""
        if self._gate.closed and not self.should_exit:
            await self._drain()
        return await super().on_tick(counter)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        while self._gate.count and not self.should_exit and loop.time() < end:
            await asyncio.sleep(GLANCE)
        await loop.run_in_executor(None, self._give_up)
        self.should_exit = True
