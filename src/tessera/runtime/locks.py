"""A folder that one process at a time may write."""

import errno
import fcntl
import json
import os
import socket
import time
import weakref
from pathlib import Path
from typing import Any, Self

from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown

LOCK_FILE = "run.lock"
LETTING_GO = 5.0
"""Seconds within which the forked workers of a dead process have let go of its lock."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class FolderLock:
    """Holds a folder from the first moment on until `close`, the end of a `with` block, or of the process.

    The system drops the lock of a dead process; the file stays, and stops nobody. `unsafe` says why when the
    storage knows no locks. ValueError at once, naming the process, when another one holds the folder.
    """

    unsafe: str | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with disk_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(self._file)
        except BlockingIOError as error:
            holder = _in_words(self._file)
            self.close()
            raise ValueError(
                f"{shown(folder)} is in use by {holder}: wait until it ends, stop it, or give another folder"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                self.close()
                raise
            self.unsafe = f"{shown(folder)}: the storage knows no locks; start nothing else in this folder"
        self._sign()
        # A forked worker would hold the lock as long as it outlives this process.
        own = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _close(own()))

    def close(self) -> None:
        """Let others in."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self.close()

    def _sign(self) -> None:
        facts = {"pid": os.getpid(), "host": socket.gethostname()}
        with disk_faults(self.folder):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps(facts).encode(), 0)


def _close(lock: FolderLock | None) -> None:
    if lock is not None:
        lock.close()


def _lock(file: int) -> None:
    """Take the lock; BlockingIOError where a living process has it.

    A worker forked a moment before its process died has not let go yet, so the dead are waited for.
    """
    until = time.monotonic() + LETTING_GO
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not _is_dead(_holder(file)) or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _is_dead(holder: tuple[int, str] | None) -> bool:
    """Whether the process is of this host and gone."""
    if holder is None or holder[1] != socket.gethostname():
        return False
    try:
        os.kill(holder[0], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _holder(file: int) -> tuple[int, str] | None:
    """Number and host of the process that signed the file; None where nobody did."""
    try:
        facts: Any = json.loads(os.pread(file, 1000, 0))
        number, host = int(facts["pid"]), str(facts["host"])
    except (ValueError, KeyError, TypeError):
        return None
    return (number, host) if 0 < number < 2**31 else None


def _in_words(file: int) -> str:
    if (holder := _holder(file)) is None:
        return "another process"
    return f"process {holder[0]} on {shown(holder[1], bare=True)}"
