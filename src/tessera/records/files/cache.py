"""Facts about files, kept between runs in a folder of the user: built once, swapped in whole."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_root() -> Path:
    """`TESSERA_CACHE` when it is set, else `tessera` in the user's cache folder."""
    if chosen := os.environ.get("TESSERA_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tessera"


def file_stamp(file: Path) -> str:
    """Path, size and time of change: another text when the file is another one."""
    facts = file.stat()
    return f"{file.resolve()} {facts.st_size} {facts.st_mtime_ns}"


def cached_folder(kind: str, stamp: str, build: Callable[[Path], None]) -> Path:
    """The folder that `build` fills for this stamp; built once, by one process at a time.

    Raises ValueError when the cache folder can't be written.
    """
    folder = cache_root() / kind / hashlib.blake2b(stamp.encode(), digest_size=16).hexdigest()
    if folder.is_dir():
        return folder
    with _alone(folder):
        if not folder.is_dir():
            fresh = folder.with_name(folder.name + ".new")
            # What a killed process left half done.
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            build(fresh)
            # In one step: readers find the whole folder or none.
            fresh.rename(folder)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Other processes that want the same folder wait; the lock ends with its process."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        stream = folder.with_name(folder.name + ".lock").open("w")
    except OSError as error:
        raise ValueError(
            f"cache folder {folder.parent}: {error}; set TESSERA_CACHE to a folder that can be written"
        ) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
