"""Where requests come in, whatever is served: places for them and their bodies, and the model's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope

from tessera.serve.admission import Gate, Stock
from tessera.serve.faults import ApiFault
from tessera.serve.http.body import declared_bytes, read_body, unless_gone
from tessera.serve.http.meters import Meters
from tessera.serve.settings import ServeSettings

SMALL = 2**20
"""Bytes of a body that comes in without waiting for others."""


class Entrance:
    """One set of limits, and what has come in."""

    def __init__(self, settings: ServeSettings) -> None:
        self.settings, limits = settings, settings.limits
        self.gate = Gate(limits.requests, limits.requests_per_key)
        self.bodies = Stock(bytes=limits.total_bytes)
        self.meters = Meters()

    async def with_body(self, scope: Scope, receive: Receive, work: Callable[[bytes], Any]) -> Any:
        """The result of a coroutine that is given the body; the body's bytes are counted until then."""
        size = declared_bytes(scope, self.settings.limits)
        async with self.bodies.hold(bytes=0 if size <= SMALL else size):
            raw = await read_body(receive, self.settings.limits)
            return await unless_gone(receive, work(raw))

    def require_model(self, name: object) -> None:
        """ApiFault when a request asks for another model; one that names none means this one."""
        if name not in (None, self.settings.name):
            message = f"model: this server has {self.settings.name!r} only (GET /v1/models)"
            raise ApiFault(404, message, "model_not_found", "model")
