"""Facts about files, kept between runs in a folder of the user: built once, swapped in whole."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def cache_root() -> Path:
    """`TESSERA_CACHE` when it is set, else `tessera` in the user's cache folder."""
    if chosen := os.environ.get("TESSERA_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tessera"


def cached_folder(kind: str, stamp: str, build: Callable[[Path], object]) -> Path:
    """The folder that `build` fills for this stamp, a fingerprint; built once, by one process at a time.

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


def map_table(file: Path, columns: int) -> NDArray[np.int64]:
    """A table that was written row by row: int64 [N, columns], memory-mapped."""
    if not file.stat().st_size:
        return np.zeros((0, columns), np.int64)
    return np.memmap(file, np.int64, mode="r").reshape(-1, columns)


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
