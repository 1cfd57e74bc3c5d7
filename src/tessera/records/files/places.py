"""Names of files: local paths and URLs, and media paths that must stay below their root.

A `Path` is a local file; a `str` is the URL of a remote one, in one of the storages of SCHEMES.
"""

import os
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

from tessera.runtime.shown import shown

Location = Path | str

SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "http", "https", "memory", "file")
"""Storages that may be named: fsspec knows more, among them some that run commands or unpack archives."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")


class OutsideRoot(ValueError):
    """A media path that leads out of its root."""


def is_url(text: str) -> bool:
    """Whether a text names a remote file."""
    return _URL.match(text) is not None


def location(text: str | Path, base: Location | None = None) -> Location:
    """A path or URL as written in a manifest; relative ones start at `base`.

    `file:` addresses become paths. Absolute paths and URLs stay as they are. ValueError for a
    URL of a storage that is not read.
    """
    if isinstance(text, Path) or not is_url(text):
        # A Path would fold the two slashes of a URL into one.
        if isinstance(base, str) and not os.path.isabs(text):
            return posixpath.join(base, str(text)) if str(text) else base
        return Path(text) if base is None else Path(base) / text
    if text.lower().startswith("file://"):
        return Path(unquote(text[len("file://") :]))
    return checked_url(text)


def checked_url(url: str) -> str:
    """The URL. ValueError for a storage not in SCHEMES, and for several that fsspec would chain (`zip::`)."""
    if url.partition("://")[0] not in SCHEMES or "::" in url:
        remedy = f"name a path or one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
        raise ValueError(f"{shown(url)} is in no storage that is read; {remedy}")
    return url


def inside(root: Location, path: str) -> Location:
    """Where the media file `path` of a record lies below its root.

    Absolute paths and URLs pass when they lie below the root. OutsideRoot when the path leaves it; symbolic
    links are not followed for this: they are the owner's own.
    """
    if path.lower().startswith("file://"):
        path = unquote(path[len("file://") :])
    if isinstance(root, str):
        return _inside_url(root, path)
    if is_url(path):
        raise OutsideRoot(f"{shown(path)} is not below {shown(str(root))}")
    if ".." not in path and not path.startswith("/"):  # most paths, told at a glance
        return root / path
    anchor, joined = os.path.abspath(root), os.path.abspath(os.path.join(root, path))
    if joined != anchor and not joined.startswith(anchor.rstrip("/") + "/"):
        raise OutsideRoot(f"{shown(path)} is not below {shown(str(root))}")
    return root / path


def _inside_url(root: str, path: str) -> str:
    anchor = root.rstrip("/")
    if is_url(path) and not path.startswith(anchor + "/"):
        raise OutsideRoot(f"{shown(path)} is not below {shown(root)}")
    rest = path.removeprefix(anchor + "/")
    # Servers decode %2e%2e, so what is decoded must stay inside, too.
    for name in (rest, unquote(rest)):
        steps = posixpath.normpath(name).split("/")
        # `::` would lead fsspec to another storage, the local disk among them.
        if ".." in steps or name.startswith("/") or "\\" in name or "::" in name:
            raise OutsideRoot(f"{shown(path)} is not below {shown(root)}")
    return f"{anchor}/{rest}"


def suffix(place: Location) -> str:
    """What a file's name ends in, in small letters: `.jsonl`; queries of URLs don't count."""
    name = str(place) if isinstance(place, Path) else place.partition("?")[0]
    return posixpath.splitext(name)[1].lower()
