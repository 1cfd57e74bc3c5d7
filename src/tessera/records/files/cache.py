"""Facts about files, kept between runs in a folder of the user: built once, swapped in whole, checked when
opened.

Every folder of the cache holds the sizes and digests of its files. One that is damaged is built again; what a
killed process left half done is removed.
"""

import errno
import fcntl
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tessera.runtime.disk import cache_root, sync

VERSION = "2"
"""Raised when what builders write changes."""
SEAL = "whole.json"
"""Names the other files of a folder, each with size and digest."""
WHOLE = 8 * 2**20
"""Files up to this size are digested whole, of larger ones some blocks, the first and the last among them."""
BLOCKS, BLOCK = 64, 1 << 16
FORGOTTEN = 3600
"""Seconds after which a folder that nobody locked was left by a killed process."""
_CACHE_AT_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def cached_folder(kind: str, stamp: str, build: Callable[[Path], object]) -> Path:
    """The folder that `build` fills for this stamp, a fingerprint; built once, by one process at a time.

    Raises ValueError when the cache folder can't be written, and what `build` raises.
    """
    folder = _place(kind, stamp)
    if _is_whole(folder):
        return folder
    with _alone(folder.parent), scratch() as fresh:
        if not _is_whole(folder):
            with _told():
                build(fresh)
                _seal(fresh)
                with suppress(FileNotFoundError):
                    folder.rename(fresh.with_name("damaged"))
                # In one step: readers find the whole folder or none.
                fresh.rename(folder)
                sync(folder.parent)
    return folder


def find_cached(kind: str, stamp: str) -> Path | None:
    """The folder of this stamp; None where it is not, or is damaged."""
    folder = _place(kind, stamp)
    return folder if _is_whole(folder) else None


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder of the cache for the time of the block; a killed process's goes when the next is made.

    Raises ValueError when the cache folder can't be written.
    """
    place = cache_root() / "new"
    with _told(all_errors=True):
        place.mkdir(parents=True, exist_ok=True)
        _sweep(place)
        folder = Path(tempfile.mkdtemp(dir=place))
        lock = (folder / "lock").open("w")
    try:
        with lock:
            _locked(lock)
            made = folder / "made"
            made.mkdir()
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def digest_of(file: Path) -> str:
    """32 hexadecimal digits of a file's content: all of it up to WHOLE bytes, else BLOCKS blocks of it."""
    size = file.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with file.open("rb") as stream:
        if size <= WHOLE:
            digest.update(stream.read())
        else:
            for number in range(BLOCKS):
                stream.seek((size - BLOCK) * number // (BLOCKS - 1))
                digest.update(stream.read(BLOCK))
    return digest.hexdigest()


def map_table(file: Path, columns: int) -> NDArray[np.int64]:
    """A table that was written row by row: int64 [N, columns], memory-mapped."""
    if not file.stat().st_size:
        return np.zeros((0, columns), np.int64)
    return np.memmap(file, np.int64, mode="r").reshape(-1, columns)


def _place(kind: str, stamp: str) -> Path:
    # File names need not be UTF-8.
    name = hashlib.blake2b(f"{VERSION} {stamp}".encode("utf-8", "backslashreplace"), digest_size=16)
    return cache_root() / kind / name.hexdigest()[:2] / name.hexdigest()


def _facts(folder: Path) -> dict[str, object]:
    """Size and digest of every file of a folder."""
    files = sorted(file for file in folder.iterdir() if file.name != SEAL)
    return {file.name: [file.stat().st_size, digest_of(file)] for file in files}


def _is_whole(folder: Path) -> bool:
    """Whether a folder is there and holds what was sealed."""
    try:
        told = json.loads((folder / SEAL).read_bytes())
        return bool(told == _facts(folder))
    except (OSError, ValueError, RecursionError):
        return False


def _seal(folder: Path) -> None:
    """Put all files on the disk, then say what they are."""
    for file in folder.iterdir():
        sync(file)
    with (folder / SEAL).open("w") as stream:
        json.dump(_facts(folder), stream)
    sync(folder / SEAL)
    sync(folder)


def _sweep(place: Path) -> None:
    """Remove folders of processes that are gone: their lock is free."""
    for folder in place.iterdir():
        with suppress(OSError):
            try:
                with (folder / "lock").open("r+") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:  # between making the folder and locking it, or left there
                if time.time() - folder.stat().st_mtime < FORGOTTEN:
                    continue
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Other processes that build in the same folder wait; the lock ends with its process."""
    with _told(all_errors=True):
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / "lock").open("w")
    with stream:
        _locked(stream)
        yield


def _locked(stream: IO[str]) -> None:
    # Some network storages know no locks: folders then are built twice, and the first one stays.
    with suppress(OSError):
        fcntl.flock(stream, fcntl.LOCK_EX)


@contextmanager
def _told(all_errors: bool = False) -> Iterator[None]:
    """ValueError for what is wrong with the cache; what is wrong with a source goes on as it is."""
    try:
        yield
    except OSError as error:
        own = str(error.filename or "").startswith(str(cache_root()))
        if not (all_errors or own or error.errno in _CACHE_AT_FAULT):
            raise
        remedy = "make room, or set TESSERA_CACHE to a folder that can be written"
        raise ValueError(f"cache folder {cache_root()}: {error.strerror or error}; {remedy}") from error
