"""Progress: lines where nothing is a terminal, bars where something is, silence for what is over at once."""

from __future__ import annotations

import io
import sys

import pytest

from tessera.runtime import progress
from tessera.runtime.progress import progress_bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as the last entry."""
    times = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: times[-1])
    return times


def test_lines_come_after_two_seconds_every_thirty_and_at_the_end(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """`make demo` piped into a file once wrote nothing for ten minutes."""
    with progress_bars() as bars:
        for step in range(100):
            clock.append(float(step))
            bars("full", step + 1, 100, f"loss {100 - step}")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "full:  3 of 100  loss 98  (0:02 gone, 1:37 left)",
        "full:  33 of 100  loss 68  (0:32 gone, 1:07 left)",
        "full:  63 of 100  loss 38  (1:02 gone, 0:37 left)",
        "full:  93 of 100  loss 8  (1:32 gone, 0:07 left)",
        "full:  100 of 100  loss 1  (1:39 gone)",
    ]


def test_an_unknown_total_is_no_matter(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as bars:
        bars("items", 1, None)
        clock.append(5.0)
        bars("items", 2000, None)
    assert capsys.readouterr().err == "items:  2,000  (0:05 gone)\n"


def test_what_is_over_at_once_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as bars:
        bars("short", 0, 2)
        bars("short", 2, 2)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_bars(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn once the quiet time is over; names from data are no markup."""
    drawn = Terminal()
    monkeypatch.setattr(sys, "stderr", drawn)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bars() as bars:
        bars("[red]check", 1, 100)
        assert drawn.getvalue() == ""
        clock.append(3.0)
        bars("[red]check", 1250, 2500, "fast")
    assert (
        "[red]check" in drawn.getvalue() and "1,250/2,500" in drawn.getvalue() and "fast" in drawn.getvalue()
    )


def test_silence_on_request(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars(shown=False) as bars:
        bars("full", 1, 100)
        clock.append(99.0)
        bars("full", 2, 100)
    assert capsys.readouterr() == ("", "")
