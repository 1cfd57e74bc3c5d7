"""Sounds as callers of `chat` give them: one or several, in any spelling."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tessera.audio.sources import sound_source
from tessera.chat.message import Audio


def read_sounds(given: Any) -> tuple[Audio, ...]:
    """One sound or several, as a tuple. ValueError that names the place of one that is none."""
    if given is None:
        return ()
    # An open file is an iterator, too.
    several = isinstance(given, list | tuple | Iterator) and not hasattr(given, "read")
    found: list[Audio] = []
    for one in given if several else (given,):
        part = one if isinstance(one, Audio) else Audio(one)
        try:
            found.append(replace(part, source=sound_source(part.source)))
        except ValueError as error:
            raise ValueError(f"audios{f'[{len(found)}]' if several else ''}: {error}") from error
    return tuple(found)
