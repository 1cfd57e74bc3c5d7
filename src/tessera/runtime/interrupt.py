"""Ctrl-C and termination: the first asks, the second ends."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SAME = 2.0
"""Seconds in which several signals are one where a launcher passes on what the terminal sent already."""


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
