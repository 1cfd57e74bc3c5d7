"""Files and folders that appear whole or not at all, whatever kills the process or the power."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tessera.runtime.disk import disk_faults, sync


@contextmanager
def atomic_write(file: Path) -> Iterator[IO[bytes]]:
    """A stream of bytes whose file takes its name when the block ends well; else nothing is left of it."""
    part = file.with_name(file.name + ".part")
    try:
        with part.open("wb") as stream:
            yield stream
        sync(part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` that replaces it when the block ends well; else nothing is left of it.

    A crash leaves the old folder, none, or the new one whole; what was half done goes with the next call.
    ValueError when the disk is full or refuses.
    """
    fresh = begin_folder(folder)
    with disk_faults(folder):
        try:
            yield fresh
            for path in fresh.rglob("*"):
                sync(path)
            end_folder(fresh, folder)
        finally:
            remove(fresh)


def begin_folder(folder: Path) -> Path:
    """An empty folder beside `folder`, which `end_folder` puts in its place."""
    fresh = folder.with_name(f".{folder.name}.unfinished")
    with disk_faults(folder):
        remove(fresh)
        fresh.mkdir(parents=True)
    return fresh


def end_folder(fresh: Path, folder: Path) -> None:
    """Rename a folder whose files are on the disk: the step behind which it is there."""
    sync(fresh)
    remove(folder)
    fresh.rename(folder)
    sync(folder.parent)


def remove(place: Path) -> None:
    """Take away a folder with all that is in it, or a file; nothing where there is none."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
