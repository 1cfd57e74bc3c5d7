"""Signs of life between the ranks of a run: one that is stopped or gone is named, and all end.

A collective waits in C++ where nothing interrupts it, and its time limit can't tell a lost rank from one that
saves a large state. So every rank counts up in the store that launched them, from a thread of its own.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist

from tessera.runtime.interrupt import patience

GONE = "gone"
ASKED = 3.0
"""Seconds in which a living rank surely counts up."""


class Heartbeat(threading.Thread):
    """Counts up for this rank, and looks at the others, once a second.

    `told` takes a line when a rank is lost. Then this process ends: its main thread may wait for ever.
    """

    def __init__(self, rank: int, world: int, told: Callable[[str], object]) -> None:
        super().__init__(daemon=True)
        self.rank, self._told, self._patience = rank, told, patience()
        self._others = [other for other in range(world) if other != rank]
        self._done = threading.Event()
        self._count = 0
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=self._patience))
        self._store = dist.PrefixStore("heartbeat", store)

    def run(self) -> None:
        """Until `leave`, or until a rank is lost."""
        beats: dict[int, str] = {}
        looks = dict.fromkeys(self._others, 0)
        threading.Thread(target=self._watch_store, daemon=True).start()
        while not self._done.wait(1.0):
            self._count += 1
            try:
                self._store.set(str(self.rank), f"{self._count} {os.getpid()} {socket.gethostname()}")
                found = {other: self._beat(other) for other in self._others}
            except dist.DistNetworkError:
                self._done.set()
                return  # the launcher, or the rank that holds the store, has ended: collectives will say so
            except dist.DistStoreError:
                continue  # it gave no answer in time
            for other, beat in found.items():
                looks[other] = looks[other] + 1 if beat == beats.get(other, "") and beat != GONE else 0
                if looks[other] >= self._patience:
                    self._end(f"rank {other}", beat)
            beats = found

    def leave(self) -> None:
        """This rank ends well: nobody waits for it."""
        self._done.set()
        try:
            self._store.set(str(self.rank), GONE)
        except dist.DistError:
            return  # so have the others

    def silent(self) -> list[int]:
        """The ranks that ended, or don't count up now."""
        try:
            before = {other: self._beat(other) for other in self._others}
            time.sleep(ASKED)
            return [other for other in self._others if self._beat(other) == before[other]]
        except dist.DistError:
            return []

    def _watch_store(self) -> None:
        """The store lies in the launcher or in rank 0: when that is stopped, a question waits for ever."""
        looks, before = 0, self._count
        while not self._done.wait(1.0):
            looks, before = (looks + 1 if self._count == before else 0), self._count
            if looks >= self._patience:
                self._end("the launcher, or rank 0 where there is none,", "")

    def _beat(self, other: int) -> str:
        return self._store.get(str(other)).decode() if self._store.check([str(other)]) else ""

    def _end(self, who: str, beat: str) -> None:
        _, _, place = beat.partition(" ")
        pid, _, host = place.partition(" ")
        where = f" (process {pid} on {host})" if pid else ""
        self._told(
            f"{who}{where} gave no sign of life for {self._patience:.0f} s: stopped, hanging or cut off. "
            "The run ends; start it again with the same command"
        )
        if host == socket.gethostname():
            # Or the launcher would wait for it.
            os.kill(int(pid), signal.SIGKILL)
        os._exit(1)
