"""The sides of `serving.py`: servers in processes of their own, and the engine without a server.

python benchmarks/serving_sides.py FOLDER       # answers the bodies on standard input, tells seconds
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tessera
from tessera.engine.chat_model import ChatModel

STARTED = 300.0
"""Seconds that a server may take until it answers."""
Cores = list[int] | None


def for_ours(body: dict[str, Any]) -> dict[str, Any]:
    """A body whose answer has no end of its own and whose tokens are counted."""
    return body | {"ignore_eos": True, "stream_options": {"include_usage": True}}


def for_theirs(folder: Path, body: dict[str, Any]) -> dict[str, Any]:
    """The same for transformers, which always counts."""
    length = json.dumps({"min_new_tokens": body["max_tokens"], "do_sample": False})
    return body | {"model": str(folder), "generation_config": length}


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    address: str
    process: int

    @property
    def processor(self) -> float:
        """Processor seconds of all its threads until now."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def our_server(folder: Path, cores: Cores, threads: int, *options: str) -> Iterator[Running]:
    """`tessera serve`."""
    words = ["-m", "tessera.cli.main", "serve", str(folder), "--port", "0", *options]
    with _process([sys.executable, *words], cores, threads, subprocess.PIPE) as running:
        assert running.stdout is not None
        for line in iter(running.stdout.readline, ""):
            if line.startswith("http://"):
                yield Running(line.split()[0].removesuffix("/v1"), running.pid)
                return
    raise SystemExit("tessera serve did not begin; its message is above")


@contextmanager
def their_server(python: str, folder: Path, cores: Cores, threads: int, *options: str) -> Iterator[Running]:
    """`transformers serve` of the same weights, by a Python that has what it needs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = "from transformers.cli.transformers import main; main()"
    quiet = ["--log-level", "error"]
    words = ["serve", str(folder), "--device", "cpu", "--port", str(port), *quiet, *options]
    with _process([python, "-c", start, *words], cores, threads, subprocess.DEVNULL) as running:
        _until_open(port, running)
        yield Running(f"http://127.0.0.1:{port}", running.pid)


def offline(folder: Path, bodies: list[dict[str, Any]], cores: Cores, threads: int) -> dict[str, Any]:
    """Seconds and answers of the engine for the same requests, in a process of its own."""
    words = [sys.executable, __file__, str(folder)]
    with _process(words, cores, threads, subprocess.PIPE, subprocess.PIPE) as running:
        told, _ = running.communicate(json.dumps(bodies))
    return json.loads(told.splitlines()[-1])


@contextmanager
def _process(
    words: list[str], cores: Cores, threads: int, out: int | None = None, into: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    running = subprocess.Popen(words, stdout=out, stdin=into, text=True, env=environment)
    try:
        if cores:
            os.sched_setaffinity(running.pid, cores)
        yield running
    finally:
        running.terminate()
        running.wait()


def _until_open(port: int, running: subprocess.Popen[str]) -> None:
    end = time.monotonic() + STARTED
    while time.monotonic() < end and running.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            select.select([], [], [], 0.2)
    raise SystemExit("transformers serve did not begin; its message is above")


def answer(folder: Path, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """`whole`: seconds from messages to answers (`batch`), and their processor seconds; `engine`: from
    encoded prompts. Caches are empty at the beginning of both."""
    loaded = tessera.load(folder).loaded
    items = [
        {
            "question": body["messages"],
            "max_new_tokens": body["max_tokens"],
            "ignore_eos": True,
            "temperature": body["temperature"],
        }
        for body in bodies
    ]
    ChatModel(loaded).batch(items[:4])  # kernels are chosen, memory is there
    model = ChatModel(loaded)
    begun, spent = time.perf_counter(), time.process_time()
    answers = model.batch(items)
    whole, spent = time.perf_counter() - begun, time.process_time() - spent
    model = ChatModel(loaded)
    prompts = [model.prompt(item.pop("question"), **item) for item in items]
    begun = time.perf_counter()
    done = model.complete(prompts)
    engine = time.perf_counter() - begun
    tokens = sum(len(each.ids) for each in done)
    times = {"whole": whole, "processor": spent, "engine": engine, "tokens": tokens}
    return times | {"answers": [each.whole for each in answers]}


if __name__ == "__main__":
    print(json.dumps(answer(Path(sys.argv[1]), json.load(sys.stdin))))
