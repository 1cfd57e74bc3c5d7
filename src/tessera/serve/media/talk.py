"""What the parts of a talk are read from, and parts with what was fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tessera.chat.message import Audio, ClipSource, Image, Part, PictureSource, Text, Video
from tessera.serve.media.files import RequestFiles


def sources_of(part: Part) -> Sequence[PictureSource | ClipSource]:
    """What a part is read from; web addresses are texts."""
    if isinstance(part, Text):
        return ()
    return part.source if isinstance(part.source, tuple) else (part.source,)


def with_files(part: Part, found: dict[str, bytes], files: RequestFiles) -> Part:
    """The part with what was fetched in the place of addresses; clips as files."""
    if isinstance(part, Text):
        return part
    if isinstance(part, Video) and isinstance(part.source, str):
        return replace(part, source=files.write(found[part.source]))
    if isinstance(part, Image | Audio):
        return replace(part, source=found[part.source]) if isinstance(part.source, str) else part
    frames = part.source if isinstance(part.source, tuple) else ()
    fetched = tuple(found[frame] if isinstance(frame, str) else frame for frame in frames)
    return replace(part, source=fetched) if fetched else part
