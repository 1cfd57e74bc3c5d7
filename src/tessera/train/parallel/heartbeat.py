"""Signs of life between the ranks of a run: one that is stopped, gone or stuck is named, and all end.

A collective waits in C++ where nothing interrupts it, and its time limit can't tell a lost rank from one that
saves a large state. So every rank counts up in the store that launched them, from a thread of its own, and
says beside it how far its main thread has come.
"""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta

import torch.distributed as dist

from tessera.runtime.interrupt import patience, step_patience

ASKED = 3.0
"""Seconds in which a living rank surely counts up."""
PAUSE = 0.1
"""Seconds between two messages to the store at least; steps may be shorter."""
FIRST_MARKS, FIRST_PATIENCE = 8, 600.0
"""The first steps compile, open files and fill buffers: until so many marks, so many seconds."""
SLOWER = 4
"""Times as long as the longest way between two signs of progress may the next one take."""


@dataclass(frozen=True)
class Beat:
    """What a rank last said of itself."""

    count: int = 0
    pid: int = 0
    host: str = ""
    mark: int = 0
    """Stretches of its main thread that ended; all ranks of a run take the same ones."""
    ticks: int = 0
    """Blocks that it passed through in this one; ranks that wait for each other in blocks pass as many."""
    waits: bool = False
    """Whether it is in a collective of ours, as those are that wait for a rank that is stuck."""
    watched: bool = False
    """Whether the stretch that runs has a bounded time."""
    where: str = ""
    gone: bool = False

    def told(self, rank: int) -> str:
        """The rank in words."""
        place = f" (process {self.pid} on {self.host})" if self.pid else ""
        return f"rank {rank}{place}" + (f", last seen at {self.where}," if self.where else "")


class Heartbeat(threading.Thread):
    """Counts up for this rank wherever it gets to, and looks at the others once a second.

    `told` takes a line when a rank is lost. Then this process ends: its main thread may wait for ever.
    """

    def __init__(self, rank: int, world: int, told: Callable[[str], object]) -> None:
        super().__init__(daemon=True)
        self.rank, self._told = rank, told
        self._patience, self._step_patience = patience(), step_patience()
        self._ranks = range(world)
        self._done, self._moved = threading.Event(), threading.Event()
        self._watcher = threading.Thread(target=self._watch_store, daemon=True)
        self._count = 0
        self._place = (os.getpid(), socket.gethostname())
        self._stretch = (0, False, "")
        """Mark, watched, where: only the main thread writes it, the count only this one."""
        self._ticks, self.waits = 0, False
        self._seen: dict[int, Beat] = {}
        self._looks, self._still = dict.fromkeys(self._ranks, 0), 0
        """Looks since a rank counted up, and since any got further."""
        self._marked, self._longest = time.monotonic(), 0.0
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=self._patience))
        self._store = dist.PrefixStore("heartbeat", store)

    def at(self, where: str, watched: bool = True) -> None:
        """The main thread begins a stretch, `where` for messages. Unwatched it may take any time."""
        self.tick()
        self._stretch, self._ticks = (self._stretch[0] + 1, watched, where), 0
        self._moved.set()

    def tick(self) -> None:
        """Something was done in the stretch that runs."""
        now = time.monotonic()
        if self._stretch[1]:
            self._longest = max(self._longest, now - self._marked)
        self._marked = now
        self._ticks += 1

    def run(self) -> None:
        """Until `leave`, or until a rank is lost."""
        self._watcher.start()
        look = 0.0
        while not self._done.is_set():
            self._moved.wait(max(0.0, look - time.monotonic()))
            self._moved.clear()
            try:
                self._publish()
                if time.monotonic() >= look:
                    look = time.monotonic() + 1.0
                    self._judge({rank: self._beat(rank) for rank in self._ranks})
            except dist.DistNetworkError:
                self._done.set()
                return  # the launcher, or the rank that holds the store, has ended: collectives will say so
            except dist.DistStoreError:
                pass  # it gave no answer in time
            self._done.wait(PAUSE)

    def _judge(self, found: dict[int, Beat]) -> None:
        """End the run when ranks give no sign of life, or get no further.

        Looks count, not time: a machine that slept has lost nobody.
        """
        for rank, beat in found.items():
            same = beat.count == self._seen.get(rank, Beat()).count and not beat.gone
            self._looks[rank] = self._looks[rank] + 1 if same else 0
        now, before = ([(b.mark, b.ticks) for b in beats.values()] for beats in (found, self._seen))
        stands = now == before and all(beat.watched for beat in found.values())
        self._still = self._still + 1 if stands else 0
        self._seen = found
        if silent := [rank for rank, looks in self._looks.items() if looks >= self._patience]:
            seconds = f"{self._patience:.0f} s"
            self._end(silent, f"gave no sign of life for {seconds}: stopped, hanging or cut off")
        if self._still >= self.limit:
            come = {rank: (beat.mark, beat.waits, beat.ticks) for rank, beat in found.items()}
            behind = [rank for rank, so_far in come.items() if so_far == min(come.values())]
            self._end(behind, f"got no further for {self.limit:.0f} s")

    @property
    def limit(self) -> float:
        """Seconds without any progress after which a stretch counts as stuck."""
        if self._step_patience is not None:
            return self._step_patience
        least = self._patience if self._stretch[0] > FIRST_MARKS else FIRST_PATIENCE
        return max(least, SLOWER * self._longest)

    def leave(self) -> None:
        """This rank ends well: nobody waits for it."""
        self._done.set()
        self._moved.set()
        # A thread inside of the store's C++ when the interpreter goes would abort the process.
        for thread in (self, self._watcher):
            if thread.is_alive():
                thread.join(ASKED)
        try:
            self._store.set(str(self.rank), json.dumps(asdict(Beat(gone=True))))
        except dist.DistError:
            return  # so have the others

    def silent(self) -> list[int]:
        """The ranks that ended, or don't count up now."""
        others = [rank for rank in self._ranks if rank != self.rank]
        try:
            before = {other: self._beat(other).count for other in others}
            time.sleep(ASKED)
            return [other for other in others if self._beat(other).count == before[other]]
        except dist.DistError:
            return []

    def told_of(self, rank: int) -> str:
        """A rank in words: its process, step and samples as it last said."""
        try:
            return self._beat(rank).told(rank)
        except dist.DistError:
            return self._seen.get(rank, Beat()).told(rank)

    def _publish(self) -> None:
        self._count += 1
        (pid, host), (mark, watched, where) = self._place, self._stretch
        own = Beat(self._count, pid, host, mark, self._ticks, self.waits, watched, where)
        self._store.set(str(self.rank), json.dumps(asdict(own)))

    def _watch_store(self) -> None:
        """The store lies in the launcher or in rank 0: when that is stopped, a question waits for ever."""
        looks, before = 0, self._count
        while not self._done.wait(1.0):
            looks, before = (looks + 1 if self._count == before else 0), self._count
            if looks >= self._patience:
                self._fall("the launcher, or rank 0 where there is none, gave no sign of life")

    def _beat(self, other: int) -> Beat:
        return Beat(**json.loads(self._store.get(str(other)))) if self._store.check([str(other)]) else Beat()

    def _end(self, ranks: Iterable[int], what: str) -> None:
        """Name lost ranks; those on this host end, or the launcher would wait for them."""
        lost = {rank: self._seen[rank] for rank in ranks}
        self._told(f"{'; '.join(beat.told(rank) for rank, beat in lost.items())} {what}. {AGAIN}")
        for beat in lost.values():
            if (beat.pid, beat.host) != self._place and beat.host == self._place[1]:
                os.kill(beat.pid, signal.SIGKILL)
        os._exit(1)

    def _fall(self, what: str) -> None:
        self._told(f"{what} for {self._patience:.0f} s. {AGAIN}")
        os._exit(1)


AGAIN = "The run ends; start it again with the same command"
