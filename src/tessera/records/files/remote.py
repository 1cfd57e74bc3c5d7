"""Bytes of local and remote files: opened in place and read by ranges, or copied once into the cache.

Parquet files and tar shards are read by ranges; annotation lines, pictures and clips are copied on first use.
fsspec is imported on first need: it comes with torch, its storage back ends (s3fs, gcsfs…) are the user's.
"""

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tessera.records.files.cache import cached_folder, digest_of
from tessera.records.files.places import Location, checked_url, suffix
from tessera.runtime.shown import shown

MOST_BYTES = 16 * 2**30
"""Largest remote file that is copied into the cache."""


class Unreachable(OSError):
    """A remote file that could not be read; the message names it."""


def exists(place: Location) -> bool:
    """Whether there is such a file. Unreachable when the storage doesn't answer."""
    if isinstance(place, Path):
        return place.is_file()
    return bool(_ask(place, lambda system, path: system.isfile(path)))


def stamp(place: Location) -> str:
    """Fingerprint of a file: name, size, time of change and content (of large files some blocks), or what the
    storage says of changes."""
    if isinstance(place, Path):
        local = place.stat()
        return f"{place.resolve()} {local.st_size} {local.st_mtime_ns} {digest_of(place)}"
    facts: dict[str, Any] = _ask(place, lambda system, path: system.info(path))
    named = ("size", "mtime", "created", "LastModified", "updated", "ETag", "etag", "md5Hash", "Content-MD5")
    return f"{place} {[str(facts[key]) for key in named if key in facts]}"


def open_binary(place: Location) -> IO[bytes]:
    """The file, open for reading and seeking. Unreachable or OSError when it can't be opened."""
    if isinstance(place, Path):
        return place.open("rb")
    stream: IO[bytes] = _ask(place, lambda system, path: system.open(path, "rb"))
    return stream


def read_range(place: Location, start: int, size: int) -> bytes:
    """`size` bytes from `start`; fewer when the file ends before."""
    if isinstance(place, Path):
        with place.open("rb") as stream:
            stream.seek(start)
            return stream.read(size)
    return bytes(_ask(place, lambda system, path: system.cat_file(path, start=start, end=start + size)))


def matches(pattern: str) -> list[str]:
    """The files of a storage that a URL with `*` names, in order."""
    found: list[str] = _ask(
        pattern, lambda system, path: [system.unstrip_protocol(name) for name in sorted(system.glob(path))]
    )
    return found


def local_copy(place: Location) -> Path:
    """The file itself when it is local, else its copy in the cache, made on first use.

    FileNotFoundError when the storage has no such file, Unreachable when it fails.
    """
    if isinstance(place, Path):
        return place

    def fetch(target: IO[bytes]) -> None:
        with open_binary(place) as stream:
            # Only reading is asked of the storage: what goes wrong in writing is the cache's fault.
            while block := _ask(place, lambda *_: stream.read(1 << 20)):
                target.write(block)
            if size is not None and target.tell() != size:
                raise Unreachable(f"{shown(place, bare=True)}: {target.tell()} of {size} bytes came")

    size = _ask(place, lambda system, path: system.size(path))
    # Some storages tell no size; their files are copied all the same.
    if size is not None and size > MOST_BYTES:
        detail = f"{size} bytes are more than {MOST_BYTES}; split the file or fetch it yourself"
        raise Unreachable(f"{shown(place, bare=True)}: {detail}")
    return copied(stamp(place), suffix(place), fetch)


def copied(name: str, ending: str, write: Callable[[IO[bytes]], object]) -> Path:
    """A file of the cache for this name, written once; readers never see half of it.

    ValueError when the cache folder can't be written.
    """

    def fill(folder: Path) -> None:
        with (folder / f"file{ending}").open("wb") as stream:
            write(stream)

    return cached_folder("media", name, fill) / f"file{ending}"


def _ask(url: str, question: Callable[[Any, str], Any]) -> Any:
    """What the storage of a URL answers; its many kinds of errors become OSErrors that name the URL."""
    import fsspec

    checked_url(url)
    try:
        system, path = fsspec.core.url_to_fs(url)
        return question(system, path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{shown(url, bare=True)}: no such file") from error
    # fsspec imports the storage's package here, on first use.
    except ImportError as error:
        raise ValueError(
            f"{shown(url, bare=True)}: {error}; install the package that fsspec names"
        ) from error
    # It names the URL already; as an OSError it would be wrapped again below.
    except Unreachable:
        raise
    except storage_errors() as error:
        raise Unreachable(f"{shown(url, bare=True)}: {type(error).__name__}: {shown(error)}") from error


def storage_errors() -> tuple[type[BaseException], ...]:
    """What storage back ends raise besides OSError, as far as their packages are loaded."""
    import sys

    # By name, for importing a package to catch its errors would require it.
    names = {
        "aiohttp": ("ClientError",),
        "botocore.exceptions": ("BotoCoreError", "ClientError"),
        "gcsfs.retry": ("HttpError",),
        "azure.core.exceptions": ("AzureError",),
    }
    found = [getattr(sys.modules[m], c) for m, cs in names.items() if m in sys.modules for c in cs]
    return (OSError, ValueError, TimeoutError, *found)
