"""What a disk refuses, found before the work begins or told in one line; and what outlives a crash."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from tessera.runtime.shown import shown

LEAST_FREE = 1 << 20
"""Bytes that must be free where the size of what will be written isn't known."""
REMEDIES = {
    errno.ENOSPC: "make room, or name another place",
    errno.EDQUOT: "make room, or name another place",
    errno.EFBIG: "the disk or a limit (`ulimit -f`) takes no file so large; name another place",
    errno.EIO: "the disk fails; name another place",
}
_REFUSED = "name a place that can be written"
FAULTS = {
    *REMEDIES,
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ENOENT, errno.ELOOP, errno.EINVAL),
}
"""Errors that speak of the place that was named, not of the program."""


def cache_root() -> Path:
    """`TESSERA_CACHE` when it is set, else `tessera` in the user's cache folder."""
    if chosen := os.environ.get("TESSERA_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "tessera"


def require_writable(target: Path, size: int = LEAST_FREE, folder: bool = False) -> None:
    """ValueError when `target`, a file or `folder`, can't be made or overwritten, or when less than `size`
    bytes are free there. Nothing stays behind: no folder is made, and a file that is there keeps its bytes.
    """
    with disk_faults(target):
        if target.exists() and target.is_dir() != folder:
            raise ValueError(f"{shown(target)} is {'a file' if folder else 'a folder'}; {_REFUSED}")
        if not folder and target.exists():
            target.open("r+b").close()
            if not target.is_file():  # /dev/null
                return
        place = next(parent for parent in (target, *target.absolute().parents) if parent.is_dir())
        # A file and not the mode bits: a disk that is mounted for reading alone has the bits all the same.
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
        if free < size:
            raise OSError(errno.ENOSPC, f"{_megabytes(free)} are free, {_megabytes(size)} are needed")
        # Of parents that are missing the first is made here, unless a file has its name.
        below = next((parent for parent in target.absolute().parents if os.path.lexists(parent)), place)
        if not below.is_dir():
            raise OSError(errno.ENOTDIR, f"{shown(below)} is a file")


@contextmanager
def disk_faults(target: Path) -> Iterator[None]:
    """ValueError in one line for what the disk refuses inside: full, read-only, forbidden, no such place."""
    try:
        yield
    except SafetensorError as error:
        # Its text ends in "(os error 28)"; it carries no number.
        code = str(error).rpartition("(os error ")[2].partition(")")[0]
        if not code.isdigit():
            raise
        raise ValueError(disk_fault(OSError(int(code), os.strerror(int(code))), target)) from error
    except OSError as error:
        if error.errno not in FAULTS:
            raise
        raise ValueError(disk_fault(error, target)) from error


def disk_fault(error: OSError, target: Path | None = None) -> str:
    """One line: where, what, and what to do."""
    where = target or Path(os.fsdecode(error.filename or "disk"))
    said = error.strerror or str(error)
    return f"{shown(where)}: {said}; {REMEDIES.get(error.errno or 0, _REFUSED)}"


def sync(place: Path) -> None:
    """Put a file, or the names in a folder, on the disk, so that they outlive a loss of power."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network storages don't sync folders; their names are as safe as they get.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def file_digest(file: Path) -> str:
    """SHA-256 of the content, several times as fast as a disk writes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
