"""An engine as a process of its own: started, waited for, ended with us."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx

from tessera.runtime.shown import shown

GLANCE = 0.2
"""Seconds between two looks at a server that is coming up."""
PATIENCE = 30.0
"""Seconds that an engine has to end when it is asked to."""


@contextmanager
def running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a command, with our output; it ends with the block. ValueError: no such program."""
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        raise ValueError(f"{shown(command[0])} does not start: {error.strerror or error}") from error
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for_health(process: subprocess.Popen[bytes], address: str, seconds: float) -> None:
    """Until the server answers with 200. ValueError when its process ends before, or it takes too long."""
    end = time.monotonic() + seconds
    while True:
        if (code := process.poll()) is not None:
            raise ValueError(f"the engine ended with {code} before it answered; its own lines above say why")
        try:
            # trust_env: a proxy has no part in what runs on this machine
            if httpx.get(address, timeout=5.0, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > end:
            raise ValueError(f"{address} gave no answer in {seconds:g} seconds; raise --wait-seconds")
        time.sleep(GLANCE)
