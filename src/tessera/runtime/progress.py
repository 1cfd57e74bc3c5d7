"""Progress of long work: the one type that every room reports to, and the one bar that shows it.

A terminal gets a bar. Anything else (a pipe, a log) gets a plain line after two seconds, every 30 seconds and
at the end, so that a log says whether work goes on. Work that is over at once shows nothing.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Progress = Callable[[str, int, int | None], None]
"""Takes what is being done, how much of it is done, and how much there is in all (None: not known)."""

QUIET_SECONDS = 2.0
LINE_SECONDS = 30.0


class Bars:
    """Takes progress and shows nothing. The passes are told apart by their names."""

    def __call__(self, what: str, done: int, total: int | None, note: str = "") -> None:
        """`done` of `total` of the pass `what`; `note` stands beside it, as a loss does."""

    def close(self) -> None:
        """Leave the screen to others."""


silent = Bars()


class _Lines(Bars):
    """One line at a time, for what is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._first: dict[str, tuple[float, int]] = {}
        self._told: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int | None, note: str = "") -> None:
        now = time.monotonic()
        started, begun = self._first.setdefault(what, (now, done))
        told = what in self._told
        due = self._told.get(what, started) + (LINE_SECONDS if told else QUIET_SECONDS)
        if now < due and not (told and done == total):
            return
        self._told[what] = now
        count = f"{done:,}" if total is None else f"{done:,} of {total:,}"
        times = f"{_clock(now - started)} gone"
        if total and begun < done < total:  # begun: a resumed run starts in the middle
            times += f", {_clock((now - started) * (total - done) / (done - begun))} left"
        self._stream.write("  ".join(filter(None, (f"{what}:", count, note, f"({times})"))) + "\n")
        self._stream.flush()


class _Drawn(Bars):
    """Bars on a terminal, drawn once the work has taken a moment."""

    def __init__(self, stream: TextIO, keep: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Drawing

        words = [TextColumn(text, markup=False) for text in ("{task.fields[count]}", "{task.fields[note]}")]
        self._drawing = Drawing(
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            *words,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(file=stream),
            transient=not keep,
            # Results printed meanwhile go above the bars, unless stdout is a file or a pipe.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._began = time.monotonic()
        self._tasks: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int | None, note: str = "") -> None:
        count = f"{done:,}" if total is None else f"{done:,}/{total:,}"
        if what not in self._tasks:
            self._tasks[what] = self._drawing.add_task(what, total=total, count=count, note=note)
        self._drawing.update(self._tasks[what], completed=done, total=total, count=count, note=note)  # type: ignore[arg-type]
        if not self._drawing.live.is_started and time.monotonic() - self._began >= QUIET_SECONDS:
            self._drawing.start()

    def close(self) -> None:
        if self._drawing.live.is_started:
            self._drawing.stop()


@contextmanager
def progress_bars(keep: bool = False, shown: bool = True) -> Iterator[Bars]:
    """Where to report to while work runs. keep: finished bars stay on the screen. shown: False is silent.

    Everything goes to stderr, so that stdout holds results alone.
    """
    stream = sys.stderr
    bars = Bars() if not shown else _Drawn(stream, keep) if stream.isatty() else _Lines(stream)
    try:
        yield bars
    finally:
        bars.close()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
