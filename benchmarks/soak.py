"""A server under 10,000 mixed requests: is anything lost, stuck, leaked or answered otherwise?

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/soak.py [--requests 10000] [--dtype float32|bfloat16]

`tessera serve` with the shipped model in a process of its own, 32 clients. A tenth of the requests is
cancelled at a drawn moment, a tenth malformed; the others are texts, pictures, clips and several turns at
three endpoints, greedy or with a seed, whole and in streams, with every answer known from the engine offline.

It fails (status 1) when an answer differs, a refusal has another status than it must, anything is a 5xx, a
request has no answer in five minutes, or when, at the end, the engine or the door still holds anything, or
memory, open files, threads or files in the temporary folder have grown. In bfloat16 answers may differ
(docs/engine.md); they are counted. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving_sides import our_server
from soak_clients import ask, words
from soak_requests import Request, malformed, sound

import tessera
from tessera.checkpoints.shipped import shipped_folder

CLIENTS = 32
LONGEST_STAY = 0.6
"""Seconds after which a client that leaves has left."""
POOL = 168
"""Questions, each asked in several ways and again and again."""
CACHE = 2**23
"""Bytes of the engine's cache: so few that it is full soon, and requests have to make room for others."""
GROWTH = 16.0
"""MiB that memory may grow from the second fifth of the requests to the last: noise of the allocator."""
SHOWN = 20
"""Values of memory that are told."""
HELD = ("engine_running", "engine_waiting", "engine_blocks_used", "requests_inside", "bodies_waiting") + (
    "prompts_waiting",
    "tokens_held",
    "tiles_held",
)
END = 60.0
"""Seconds that the server has to give back what cancelled requests held."""


Asked = tuple[Request, float | None]
"""A request, and after how many seconds its client leaves."""


@dataclass
class Seen:
    """What happened."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    other: int = 0
    """Answers with other words than offline."""
    memory: list[tuple[int, float]] = field(default_factory=list)
    """Requests that were over, and the server's MiB."""


def drawn(
    count: int, pool: list[Request], bad: list[Request], seed: int
) -> list[tuple[Request, float | None]]:
    """Requests, and after how many seconds their client leaves."""
    draw, found = random.Random(seed), list[tuple[Request, float | None]]()
    for _ in range(count):
        kind = draw.random()
        if kind < 0.1:
            one, stay = draw.choice(pool), draw.random() ** 2 * LONGEST_STAY
            cut = len(one.content) // 2 if draw.random() < 0.2 else 0
            found.append((Request(one.path, one.content[cut:], missing=cut), stay))
        else:
            found.append((draw.choice(bad if kind < 0.2 else pool), None))
    return found


async def play(address: str, process: int, asked: list[Asked], seen: Seen) -> None:
    """All requests by so many clients."""
    line, over = iter(asked), 0

    async def client() -> None:
        nonlocal over
        for request, leave in line:
            reply = await ask(address, request, leave)
            seen.statuses[reply.status] += 1
            if leave is None:
                check(request, reply.status, reply.content, seen)
                if reply.status == 200 and words(request, reply) != request.words:
                    seen.other += 1
            elif reply.status >= 500:
                seen.wrong.append(f"{request.path} of a client that meant to leave: {reply.status}")
            over += 1
            if over % max(10, len(asked) // 200) == 0:
                seen.memory.append((over, resident(process)))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


def check(request: Request, status: int, content: bytes, seen: Seen) -> None:
    """The right status, and nothing of the inside in a refusal."""
    if status != request.status:
        seen.wrong.append(f"{request.path}: {status} in the place of {request.status}: {content[:300]!r}")
    elif status != 200 and (b"Traceback" in content or set(json.loads(content)) != {"error"}):
        seen.wrong.append(f"{request.path}: not OpenAI's error: {content[:300]!r}")


def resident(process: int) -> float:
    """MiB of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def figures(address: str) -> dict[str, float]:
    """GET /metrics."""
    with urllib.request.urlopen(f"{address}/metrics") as reply:
        lines = reply.read().decode().splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}


def held(address: str) -> dict[str, float]:
    """What is not given back in the end, name -> how much."""
    end = time.monotonic() + END
    while True:
        told = figures(address)
        left = {name: told[f"tessera_{name}"] for name in HELD if told[f"tessera_{name}"]}
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def opened(process: int) -> dict[str, int]:
    """Open files, threads, and folders of requests that were left behind."""
    return {
        "files": len(os.listdir(f"/proc/{process}/fd")),
        "threads": len(os.listdir(f"/proc/{process}/task")),
        "folders": len(list(Path(tempfile.gettempdir()).glob("tessera-serve-*"))),
    }


def growth(memory: list[tuple[int, float]]) -> float:
    """MiB from the second fifth of the requests to the last."""
    fifth = max(1, len(memory) // 5)
    mib = [each for _, each in memory]
    return statistics.mean(mib[-fifth:]) - statistics.mean(mib[fifth : 2 * fifth])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All requests; what was found, with the reasons to fail under `faults`."""
    model = tessera.load(dtype=options.dtype)
    pool, bad = sound(model, options.pool), malformed()
    asked, seen = drawn(options.requests, pool, bad, options.seed), Seen()
    settings = "--dtype", options.dtype, "--engine.cache-bytes", str(CACHE)
    with our_server(shipped_folder(), None, 1, *settings) as server:
        first = [(request, None) for request in [*pool, *bad]]
        asyncio.run(play(server.address, server.process, first, seen))  # everything once: memory is there
        left, before, seen.memory = held(server.address), opened(server.process), []
        begun = time.monotonic()
        asyncio.run(play(server.address, server.process, asked, seen))
        seconds = time.monotonic() - begun
        left |= held(server.address)
        after, told = opened(server.process), figures(server.address)
    faults = seen.wrong + [f"{name} = {value:g} is held in the end" for name, value in left.items()]
    if seen.other and options.dtype == "float32":
        faults.append(f"{seen.other} answers differ from those of the engine offline")
    faults += [
        f"{name}: {before[name]} became {after[name]}" for name in after if after[name] > before[name] + 1
    ]
    if (grown := growth(seen.memory)) > options.growth:
        faults.append(f"memory grew by {grown:.1f} MiB")
    return {
        "requests": len(asked),
        "warming": len(first),
        "seconds": round(seconds, 1),
        "statuses": dict(sorted(seen.statuses.items())),
        "other answers": seen.other,
        "MiB": [round(mib) for _, mib in seen.memory[:: max(1, len(seen.memory) // SHOWN)]],
        "growth MiB": round(grown, 1),
        "opened": [before, after],
        "engine": {name: told[name] for name in told if name.startswith("tessera_engine_")},
        "faults": faults[:20],
    }


def main(words: list[str] | None = None) -> int:
    """The run, its findings, and whether it failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--pool", type=int, default=POOL, help="different questions")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--growth", type=float, default=GROWTH, help="MiB that memory may grow")
    found = run(parser.parse_args(words))
    for fault in found["faults"]:
        print(fault, file=sys.stderr)
    print(json.dumps(found))
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
