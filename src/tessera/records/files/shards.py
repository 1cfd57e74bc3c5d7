"""Patterns of shards: `shard-{000..012}.tar`, `part-*.parquet`, on disk and in storages."""

import glob
import re
from collections.abc import Iterator
from pathlib import Path

from tessera.records.files.places import Location
from tessera.records.files.remote import matches
from tessera.runtime.shown import shown

MOST_SHARDS = 100_000
"""Most files that a pattern may name."""
MOST_BRACES = 20
_BRACES = re.compile(r"\{(\d{1,20})\.\.(\d{1,20})\}|\{([^{},]*,[^{}]*)\}")


def expand(place: Location) -> tuple[Location, ...]:
    """The files that `shard-{000..012}.tar` or `*.parquet` names, in order; any other name is itself.

    ValueError when a pattern names nothing, or more than MOST_SHARDS files.
    """
    # A real file may have braces or stars in its name.
    if isinstance(place, Path) and place.exists():
        return (place,)
    found: list[Location] = []
    local = isinstance(place, Path)
    if len(_BRACES.findall(str(place))) > MOST_BRACES:
        raise ValueError(f"{shown(place, bare=True)}: more than {MOST_BRACES} braces; write fewer patterns")
    for name in _unfold(str(place)):
        if "*" not in name:
            found.append(Path(name) if local else name)
        else:
            found += map(Path, sorted(glob.glob(name, recursive=True))) if local else matches(name)
        if len(found) > MOST_SHARDS:
            raise _too_many(place)
    if not found:
        raise ValueError(f"{shown(place, bare=True)}: no file has such a name; correct the pattern")
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
            raise _too_many(name)
        words = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    for word in words:
        yield from _unfold(name[: match.start()] + word + name[match.end() :])


def _too_many(name: Location) -> ValueError:
    told = f"it names more than {MOST_SHARDS} files; write fewer, larger shards"
    return ValueError(f"{shown(name, bare=True)}: {told}")
