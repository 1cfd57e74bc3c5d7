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
from tessera.serve.http.meters import Meters
from tessera.serve.keys import ApiKeys
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
        begun, status = time.monotonic(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            try:
                async with asyncio.timeout(self.seconds):
                    await send(message)
            except TimeoutError as error:
                raise ClientGone from error

        try:
            await self.app(scope, receive, counted)
        except ClientGone:
            status = 499  # nginx's number for a client that went away
        finally:
            self.meters.answered(scope["path"], status, time.monotonic() - begun)


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
