"""A function over keys in worker processes, results in the order of the keys.

Workers are watched: one that died or gives no sign of life ends the work by its name, or all would wait. A
slow one does give signs. It computes or wakes, and the system counts both.
"""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from tessera.runtime.interrupt import ProcessLost, patience

Key = TypeVar("Key")
Result = TypeVar("Result")


def map_in_workers(
    function: Callable[[Key], Result], keys: Iterable[Key], workers: int, prefetch: int
) -> Iterator[Result]:
    """`function` of every key, in order; `workers` processes stay `prefetch` keys ahead each, 0 works here.

    The function must be picklable. Tensors in results come through shared memory. Keys are drawn in this
    process, ahead of the results. ProcessLost when a worker dies or hangs.
    """
    # In this process a debugger can step in, and small jobs start at once.
    if not workers:
        return map(function, keys)
    loader = DataLoader(
        _Keys(),
        batch_size=None,
        sampler=keys,  # torch only iterates over it
        num_workers=workers,
        prefetch_factor=prefetch,
        # In place of torch's own, which turns arrays into tensors; without batches it gets one key.
        collate_fn=function,  # type: ignore[arg-type]
        # Its own generator: the default would advance torch's global one and change the run.
        generator=torch.Generator(),
        worker_init_fn=_leave_signals,
    )
    return _watched(loader)


def map_in_chunks(
    function: Callable[[tuple[int, int]], Result], size: int, chunk: int, workers: int
) -> Iterator[Result]:
    """`function` of (first, one past the last) of every `chunk` of the numbers 0 to size - 1, in order."""
    bounds = [(first, min(first + chunk, size)) for first in range(0, size, chunk)]
    return map_in_workers(function, bounds, workers if len(bounds) > 1 else 0, prefetch=4)


class _Keys(Dataset[Any]):
    """What torch's DataLoader reads: every key stands for itself."""

    def __getitem__(self, key: Any) -> Any:
        return key


def _watched(loader: DataLoader[Any]) -> Iterator[Any]:
    """The results, with a thread that ends workers for whom nobody should wait longer."""
    before = set(multiprocessing.active_children())
    handler = signal.getsignal(signal.SIGCHLD)
    oom = _out_of_memory()
    try:
        results = iter(loader)
    except OSError as error:
        raise ProcessLost(f"workers can't be started: {error}; take fewer workers") from error
    # Torch's handler raises wherever the main process happens to be, in the middle of saving, too.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    found = multiprocessing.active_children()
    workers = sorted((child for child in found if child not in before), key=lambda child: child.pid or 0)
    watch = _Watch(workers)
    watch.start()
    try:
        yield from results
    except (RuntimeError, EOFError, OSError) as error:
        if not (lost := watch.lost or next(filter(None, map(_how_it_ended, workers)), None)):
            raise
        memory = "; memory ran out" if _out_of_memory() > oom else ""
        raise ProcessLost(
            f"{lost}{memory}. Start again with the same command, with fewer workers if memory is short"
        ) from error
    finally:
        watch.done.set()


class _Watch(threading.Thread):
    """Kills a worker without sign of life. A thread, for a read of its result can wait for ever."""

    def __init__(self, workers: list[Any]) -> None:
        super().__init__(daemon=True)
        self.workers, self.done, self.lost = workers, threading.Event(), ""
        self.patience = patience()

    def run(self) -> None:
        """Look once a second. Looks are counted, not time: this process may have been stopped as well."""
        signs: dict[int, str] = {}
        looks = dict.fromkeys((worker.pid for worker in self.workers), 0)
        while not self.done.wait(1.0):
            for number, worker in enumerate(self.workers):
                sign, state = _sign_of_life(worker.pid) if worker.is_alive() else ("", "")
                looks[worker.pid] = looks[worker.pid] + 1 if sign and sign == signs.get(worker.pid) else 0
                signs[worker.pid] = sign
                if looks[worker.pid] >= self.patience:
                    self.lost = (
                        f"worker {number} (process {worker.pid}) gave no sign of life for "
                        f"{self.patience:.0f} s: it {state}"
                    )
                    worker.kill()
                    return


_STATES = {"T": "was stopped", "t": "was stopped by a debugger", "D": "waits for a disk"}


def _sign_of_life(pid: int) -> tuple[str, str]:
    """What changes as long as a process computes or wakes, and its state in words; empty where not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        switches = [
            line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "ctxt_switches" in line
        ]
    except OSError:
        return "", ""
    return f"{fields[11:13]} {switches}", _STATES.get(fields[0], "hangs")


def _how_it_ended(worker: Any) -> str:
    """What became of a worker, nothing for one that lives."""
    code = worker.exitcode
    if code is None:
        return ""
    if code >= 0:
        return f"worker process {worker.pid} ended with code {code}"
    why = {
        signal.SIGKILL: ", as the system does when memory runs out",
        signal.SIGBUS: ", as the system does when shared memory (/dev/shm) is full",
    }.get(-code, "")
    return f"worker process {worker.pid} was killed by {signal.Signals(-code).name}{why}"


def _out_of_memory() -> int:
    """How often the system has killed a process because memory ran out."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _leave_signals(_: int) -> None:
    """What a terminal or a launcher sends to all processes is for the main one, which ends its workers.

    The second SIGTERM is obeyed: it comes from there.
    """

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, first)
