"""What surrounds every endpoint: counting, clients that take nothing, names of the server, API keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tessera.serve.faults import ApiFault, ClientGone, json_bytes
from tessera.serve.http.keys import ApiKeys
from tessera.serve.http.meters import Meters
from tessera.serve.page.routes import FOLDER

OPEN = ("/", "/health")
"""Without a key: for those who watch over the process, and the page, which asks for the key."""


class JsonReply(Response):
    """A value as JSON."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """The body."""
        return json_bytes(content)


def refusal(fault: ApiFault) -> Response:
    """A fault as it is sent."""
    return JsonReply(fault.body, fault.status, fault.headers)


class CountLayer:
    """Outermost: counts answers and their time, and gives up clients that take nothing of what is sent."""

    def __init__(self, app: ASGIApp, meters: Meters, seconds: float) -> None:
        self.app, self.meters, self.seconds = app, meters, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status, patience = time.monotonic(), 500, Patience(self.seconds)

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            with patience:
                await send(message)

        try:
            async with patience.limit:
                patience.look()
                await self.app(scope, receive, counted)
        except ClientGone:
            status = 499  # nginx's number for a client that went away
        except TimeoutError:
            if not patience.limit.expired():
                raise
            status = 499
        finally:
            patience.end()
            self.meters.answered(scope["path"], status, time.monotonic() - begun)


class Patience:
    """A limit on the time that one `with` of many may take; `limit` is what ends with it.

    One timer for all of them, for a stream sends a message for every token.
    """

    def __init__(self, seconds: float) -> None:
        self.limit = asyncio.timeout(None)
        self._loop, self._seconds = asyncio.get_running_loop(), seconds
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._since = self._loop.time()

    def __exit__(self, *_: object) -> None:
        self._since = None

    def look(self) -> None:
        """Whether it is over; else again when it might be."""
        now = self._loop.time()
        end = (now if self._since is None else self._since) + self._seconds
        if end <= now:
            self.limit.reschedule(now)
        else:
            self._timer = self._loop.call_at(end, self.look)

    def end(self) -> None:
        """No more looks."""
        if self._timer is not None:
            self._timer.cancel()


class KeyLayer:
    """Innermost: who asks, and under which name of the server; both before a body is read."""

    def __init__(self, app: ASGIApp, keys: ApiKeys, hosts: Sequence[str]) -> None:
        self.app, self.keys, self.hosts = app, keys, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; its owner goes along as `scope["state"]["owner"]`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_host(headers.get("host", ""))
            if scope["path"] not in OPEN and not scope["path"].startswith(FOLDER):
                client = Request(scope).client
                address = client.host if client else ""
                scope["state"]["owner"] = self.keys.owner(headers.get("authorization", ""), address)
        except ApiFault as fault:
            await refusal(fault)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _check_host(self, given: str) -> None:
        """A name that a stranger's DNS points here must not open the server to that stranger's pages."""
        name = given.lower().rpartition(":")[0] if not given.endswith("]") and ":" in given else given.lower()
        if self.hosts and name not in self.hosts:
            message = "host: the server is not known by this name; start it with --allow-host"
            raise ApiFault(421, message, "unknown_host")
