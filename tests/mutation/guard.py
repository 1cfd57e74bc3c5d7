"""What nothing may do while it is guarded: read elsewhere, use the network, start programs, take a GiB."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

GIB = 2**30
SECONDS = 10.0
_FORBIDDEN = (
    "socket.connect",
    "socket.getaddrinfo",
    "socket.bind",
    "subprocess.Popen",
    "os.system",
    "os.exec",
)
_OURS = (sys.prefix, sys.base_prefix, "/proc/", "/sys/", "/dev/null", "/dev/shm/", "/usr/lib/", "/usr/share/")


class _Watch:
    """The one audit hook of this process; hooks can't be taken away again."""

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] | None = None
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, details: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        if event.startswith(_FORBIDDEN):
            self.seen.append(f"{event} {details[:2]}")
        elif event == "open" and isinstance(details[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(details[0]))
            if not path.startswith(self.allowed):
                self.seen.append(f"open {path}")


_WATCH = _Watch()


@contextmanager
def guarded(*folders: Path) -> Iterator[None]:
    """Only these folders, and Python's own, are read inside. AssertionError for everything else."""
    source = Path(__file__).resolve().parents[2]
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, started = _memory("VmRSS"), time.monotonic()
    _WATCH.seen.clear()
    _WATCH.allowed = (*_OURS, str(source), *(str(folder.resolve()) for folder in folders))
    try:
        yield
    finally:
        _WATCH.allowed = None
    assert not _WATCH.seen, _WATCH.seen[:5]
    assert time.monotonic() - started < SECONDS
    assert _memory("VmHWM") - before < GIB


def _memory(name: str) -> int:
    """A line of the process's status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def each(count: int, share: int = 20):  # type: ignore[no-untyped-def]
    """So many examples by `number`: all where `TESSERA_MUTATIONS` is `full`, else one of `share`.

    They are always the same ones, and none is made simpler: a number is as simple as another.
    """
    full = os.environ.get("TESSERA_MUTATIONS") == "full"
    options = settings(
        max_examples=count if full else max(5, count // share), database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    return lambda test: seed(20261129)(options(given(number=st.integers(0, 2**32))(test)))
