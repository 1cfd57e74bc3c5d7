"""Clients of `soak.py`: bare connections, which can also leave in the middle of anything."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from soak_requests import CHAT, RAW, RESPONSES, Request

PATIENCE = 300.0
"""Seconds without an answer after which a request counts as stuck."""


@dataclass(frozen=True)
class Reply:
    """What came back; status 0 where the client left first."""

    status: int
    content: bytes = b""


async def ask(address: str, request: Request, leave: float | None = None) -> Reply:
    """One request; who leaves does so that many seconds after it was sent."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**24)
    try:
        length = len(request.content) + request.missing
        head = f"{request.method} {request.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        writer.write(f"{head}{request.head}Content-Length: {length}\r\n\r\n".encode() + request.content)
        try:
            async with asyncio.timeout(PATIENCE if leave is None else leave):
                status, _, headers_and_body = (await reader.read()).partition(b"\r\n")
        except TimeoutError:
            if leave is None:
                raise SystemExit(f"{request.path} had no answer after {PATIENCE:g} seconds") from None
            return Reply(0)
        return Reply(int(status.split()[1]), headers_and_body.partition(b"\r\n\r\n")[2])
    finally:
        writer.close()


def words(request: Request, reply: Reply) -> str:
    """What an answer says, wherever its endpoint puts it."""
    if request.streams:
        lines = (line[6:] for line in reply.content.splitlines() if line.startswith(b"data: {"))
        chunks = [json.loads(line) for line in lines]
        return "".join(one["delta"].get("content") or "" for chunk in chunks for one in chunk["choices"])
    told: Any = json.loads(reply.content)
    if request.path == CHAT:
        return str(told["choices"][0]["message"]["content"])
    if request.path == RAW:
        return str(told["choices"][0]["text"])
    assert request.path == RESPONSES
    parts = [part for item in told["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts)
