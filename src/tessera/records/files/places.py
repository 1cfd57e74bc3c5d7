"""Names of files: local paths and URLs, patterns of shards, and media paths that must stay below their root.

A `Path` is a local file; a `str` is the URL of a remote one, of any kind that fsspec knows.
"""

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

Location = Path | str

MOST_SHARDS = 100_000
"""Most files that a pattern may name."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{},]*,[^{}]*)\}")


class OutsideRoot(ValueError):
    """A media path that leads out of its root."""


def is_url(text: str) -> bool:
    """Whether a text names a remote file."""
    return _URL.match(text) is not None


def location(text: str | Path, base: Location | None = None) -> Location:
    """A path or URL as written in a manifest; relative ones start at `base`.

    `file:` addresses become paths. Absolute paths and URLs stay as they are.
    """
    if isinstance(text, Path) or not is_url(text):
        # A Path would fold the two slashes of a URL into one.
        if isinstance(base, str) and not os.path.isabs(text):
            return posixpath.join(base, str(text)) if str(text) else base
        return Path(text) if base is None else Path(base) / text
    if text.lower().startswith("file://"):
        return Path(unquote(text[len("file://") :]))
    return text


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
        raise OutsideRoot(f"{path!r} is not below {str(root)!r}")
    if ".." not in path and not path.startswith("/"):  # most paths, told at a glance
        return root / path
    anchor, joined = os.path.abspath(root), os.path.abspath(os.path.join(root, path))
    if joined != anchor and not joined.startswith(anchor.rstrip("/") + "/"):
        raise OutsideRoot(f"{path!r} is not below {str(root)!r}")
    return root / path


def _inside_url(root: str, path: str) -> str:
    anchor = root.rstrip("/")
    if is_url(path) and not path.startswith(anchor + "/"):
        raise OutsideRoot(f"{path!r} is not below {root!r}")
    rest = path.removeprefix(anchor + "/")
    # Servers decode %2e%2e, so what is decoded must stay inside, too.
    for name in (rest, unquote(rest)):
        steps = posixpath.normpath(name).split("/")
        if ".." in steps or name.startswith("/") or "\\" in name:
            raise OutsideRoot(f"{path!r} is not below {root!r}")
    return f"{anchor}/{rest}"


def suffix(place: Location) -> str:
    """What a file's name ends in, in small letters: `.jsonl`; queries of URLs don't count."""
    name = str(place) if isinstance(place, Path) else place.partition("?")[0]
    return posixpath.splitext(name)[1].lower()


def expand(place: Location) -> tuple[Location, ...]:
    """The files that `shard-{000..012}.tar` or `*.parquet` names, in order; any other name is itself.

    ValueError when a pattern names nothing, or more than MOST_SHARDS files.
    """
    # A real file may have braces or stars in its name.
    if isinstance(place, Path) and place.exists():
        return (place,)
    found: list[Location] = []
    local = isinstance(place, Path)
    for name in _unfold(str(place)):
        found += _matches(name, local) if "*" in name else [Path(name) if local else name]
        if len(found) > MOST_SHARDS:
            raise ValueError(f"{place}: it names more than {MOST_SHARDS} files; write fewer, larger shards")
    if not found:
        raise ValueError(f"{place}: no file has such a name; correct the pattern")
    return tuple(found)


def _unfold(name: str) -> Iterator[str]:
    """Every name that the braces stand for; ranges keep their leading zeros."""
    match = _BRACES.search(name)
    if match is None:
        yield name
        return
    first, last, choices = match.groups()
    if first is None:
        words = choices.split(",")
    else:
        # Before the list is made: a slip of the pen may name billions.
        if int(last) - int(first) >= MOST_SHARDS:
            raise ValueError(f"{name}: it names more than {MOST_SHARDS} files; write fewer, larger shards")
        words = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    for word in words:
        yield from _unfold(name[: match.start()] + word + name[match.end() :])


def _matches(name: str, local: bool) -> list[Location]:
    if local:
        import glob

        return [Path(found) for found in sorted(glob.glob(name, recursive=True))]
    import fsspec

    system, path = fsspec.core.url_to_fs(name)
    return [system.unstrip_protocol(found) for found in sorted(system.glob(path))]
