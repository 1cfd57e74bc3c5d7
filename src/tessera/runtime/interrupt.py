"""What ends work from outside: signals (the first asks, the second ends), and processes that got lost."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tessera.runtime.shown import shown

SAME = 2.0
"""Seconds in which several signals are one where a launcher passes on what the terminal sent already."""


LEAST_PATIENCE = 7
"""Workers that wait for work wake every five seconds."""


class ProcessLost(RuntimeError):
    """A process that others wait for died, or gives no sign of life; the message names it."""


def patience() -> float:
    """Seconds without a sign of life after which a process is lost: TESSERA_PATIENCE, by default 40."""
    return _seconds("TESSERA_PATIENCE", os.environ.get("TESSERA_PATIENCE", "40"))


def step_patience() -> float | None:
    """Seconds that a part of a step may take: TESSERA_STEP_PATIENCE; None lets those before it decide."""
    given = os.environ.get("TESSERA_STEP_PATIENCE")
    return None if given is None else _seconds("TESSERA_STEP_PATIENCE", given)


def _seconds(name: str, given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not LEAST_PATIENCE <= seconds < float("inf"):
        raise ValueError(f"{name} = {shown(given)}: give seconds, at least {LEAST_PATIENCE}")
    return seconds


class Stop:
    """Whether somebody asked for an end."""

    asked = False
    _since = 0.0


@contextmanager
def stop_on_signals(told: Callable[[], object], launched: bool = False) -> Iterator[Stop]:
    """SIGINT and SIGTERM set `asked` and call `told`; the second is a KeyboardInterrupt.

    launched: a launcher such as torchrun stands above, which repeats signals at once. Outside of the main
    thread nothing is caught: only there Python takes signals.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def take(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if stop.asked and not (launched and now - stop._since < SAME):
            raise KeyboardInterrupt
        if not stop.asked:
            stop.asked, stop._since = True, now
            told()

    before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
