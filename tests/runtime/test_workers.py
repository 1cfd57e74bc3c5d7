"""Workers that die or stop end the work by their name; slow ones don't."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from tessera.runtime.interrupt import ProcessLost
from tessera.runtime.workers import map_in_workers


def _end(key: int) -> int:
    """What a key says: numbers below zero are signals to this process."""
    if key < 0:
        os.kill(os.getpid(), -key)
    return key


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, r"killed by SIGKILL, as the system does when memory runs out"),
        (signal.SIGBUS, r"killed by SIGBUS, .*/dev/shm"),
        (signal.SIGSTOP, r"worker [01] \(process \d+\) gave no sign of life for 7 s: it was stopped"),
    ],
)
def test_a_lost_worker_is_named(number: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start (killed) and later. A stopped worker made the run wait for ever."""
    monkeypatch.setenv("TESSERA_PATIENCE", "7")
    keys = [*range(0 if number == signal.SIGKILL else 9), -number, *range(20)]
    with pytest.raises(ProcessLost, match=said):
        list(map_in_workers(_end, keys, workers=2, prefetch=2))


def _compute_zero(key: int) -> int:
    until = time.monotonic() + 9
    while key == 0 and time.monotonic() < until:
        sum(range(1000))
    return key


def test_slow_and_idle_workers_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """One computes for long; the other, whose results are there, wakes while it waits for work."""
    monkeypatch.setenv("TESSERA_PATIENCE", "7")
    assert list(map_in_workers(_compute_zero, range(8), workers=2, prefetch=1)) == list(range(8))


def test_signals_to_all_processes_are_for_the_main_one() -> None:
    """Ctrl-C reaches workers as well: they ended, and the step that should be finished had no data."""
    results = map_in_workers(_end, [0, *range(50)], workers=2, prefetch=1)
    assert [next(results) for _ in range(8)] == [0, *range(7)]  # both have begun
    for child in multiprocessing.active_children():
        os.kill(child.pid or 0, signal.SIGINT)
        os.kill(child.pid or 0, signal.SIGTERM)
    assert list(results) == list(range(7, 50))


def test_patience_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("soon", "0", "nan", "inf", "6"):
        monkeypatch.setenv("TESSERA_PATIENCE", value)
        with pytest.raises(ValueError, match="TESSERA_PATIENCE = .*at least 7"):
            list(map_in_workers(_end, [1], workers=1, prefetch=1))
