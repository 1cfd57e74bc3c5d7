"""Clients that send requests as they arrive and note when the pieces of every answer come.

Bare connections in the place of a client's library: on two cores the clients must not take what is measured.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Heard:
    """One answer. Times are of `time.perf_counter`; `tokens` are the server's own count."""

    arrived: float
    sent: float = 0.0
    pieces: list[float] = field(default_factory=list)
    words: str = ""
    tokens: int = 0
    fault: str = ""

    @property
    def first(self) -> float:
        """Seconds from sending to the first words."""
        return self.pieces[0] - self.sent if self.pieces else float("nan")

    @property
    def each(self) -> float:
        """Seconds for a token behind the first piece."""
        told = self.pieces or [float("nan")]
        return (told[-1] - told[0]) / max(1, self.tokens - 1)

    @property
    def gaps(self) -> list[float]:
        """Seconds between pieces."""
        return [b - a for a, b in zip(self.pieces, self.pieces[1:], strict=False)]


def play(address: str, bodies: list[dict[str, Any]], at: list[float], clients: int) -> list[Heard]:
    """Every body at its time, at most so many at once; who comes while all clients wait, waits too."""

    async def everybody() -> list[Heard]:
        begun, free = time.perf_counter(), asyncio.Semaphore(clients)

        async def one(body: dict[str, Any], seconds: float) -> Heard:
            await asyncio.sleep(begun + seconds - time.perf_counter())
            heard = Heard(time.perf_counter())
            async with free:
                heard.sent = time.perf_counter()
                await _ask(address, body, heard)
            return heard

        return await asyncio.gather(*map(one, bodies, at))

    return asyncio.run(everybody())


async def _ask(address: str, body: dict[str, Any], heard: Heard) -> None:
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**24)
    try:
        content = json.dumps(body | {"stream": True}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content)
        status = await reader.readline()
        if b" 200 " not in status:
            heard.fault = (status + await reader.read()).decode(errors="replace")[-500:]
            return
        async for line in reader:
            if line.startswith(b"data: {"):  # the sizes of chunks stand on lines of their own
                _note(json.loads(line[6:]), heard)
    finally:
        writer.close()


def _note(told: dict[str, Any], heard: Heard) -> None:
    if "error" in told:
        heard.fault = str(told["error"])
    if counts := told.get("usage"):
        heard.tokens = counts["completion_tokens"]
    for choice in told.get("choices", ()):
        if words := choice["delta"].get("content"):
            heard.pieces.append(time.perf_counter())
            heard.words += words
