"""Bodies with limits of size, time and depth, and clients that go away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from tessera.runtime.shown import shown
from tessera.serve.faults import ApiFault, ClientGone
from tessera.serve.settings import ServeLimits

Result = TypeVar("Result")


def declared_bytes(scope: Scope, limits: ServeLimits) -> int:
    """How many bytes a body may turn out to have. ApiFault for one that is too large, or of another kind."""
    headers = Headers(scope=scope)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # A page of another origin can send other kinds without asking first.
        message = f"content-type: {shown(kind)} is not application/json"
        raise ApiFault(415, message, "unsupported_media_type")
    if headers.get("content-encoding", "identity") != "identity":
        raise ApiFault(415, "content-encoding: send the body as it is", "unsupported_media_type")
    length = headers.get("content-length")
    if length is None:
        return limits.body_bytes
    if int(length) > limits.body_bytes:  # h11 has seen to it that these are digits
        raise _too_large(limits)
    return int(length)


async def read_body(receive: Receive, limits: ServeLimits) -> bytes:
    """The whole body. ApiFault when it is too large or too slow, ClientGone when it does not come."""
    data = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                part = await receive()
                if part["type"] == "http.disconnect":
                    raise ClientGone
                data += part.get("body", b"")
                if len(data) > limits.body_bytes:
                    raise _too_large(limits)
                if not part.get("more_body", False):
                    return bytes(data)
    except TimeoutError as error:
        message = f"the body was not there after {limits.body_seconds:g} seconds (limits.body_seconds)"
        raise ApiFault(408, message, "body_timeout") from error


def parse(raw: bytes) -> dict[str, Any]:
    """A body as a JSON object. ApiFault for anything else."""
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ApiFault(400, f"the body is no JSON: {shown(error)}", "invalid_json") from error
    if not isinstance(value, dict):
        raise ApiFault(400, f"the body is no JSON object: {shown(value)}", "invalid_json")
    return value


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, which is cancelled when the client goes: ClientGone. The body was read before."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _too_large(limits: ServeLimits) -> ApiFault:
    message = f"the body has more than {limits.body_bytes:,} bytes (limits.body_bytes); send smaller pictures"
    return ApiFault(413, message, "body_too_large")
