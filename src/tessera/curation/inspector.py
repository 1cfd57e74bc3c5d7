"""Every picture, clip and sound looked at once: its fault, if any, and what identifies its content."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from tessera.chat.message import Audio, ClipSource, Image, Medium, PictureSource, Video
from tessera.imaging.decode import name_of, read_size
from tessera.imaging.pictures.losses import Losses, what_is_lost
from tessera.records.media import Problem, media_problem

REMEMBERED = 4096
"""Files of which the findings are kept: neighbouring records often share a picture."""
BLOCK = 1 << 20


@dataclass(frozen=True)
class MediaFinding:
    """What is wrong with a picture or clip, if anything; what identifies its content; a picture's size.

    losses: what reading it leaves out, and what is stored.
    """

    problem: Problem | None
    identity: bytes = b""
    size: tuple[int, int] | None = None
    losses: Losses = ()


class MediaInspector:
    """Looks at a file once as long as it is remembered; memory is bounded.

    headers_only: pictures and clips are not decoded and are identified by their path, which is quick, but a
    truncated one is found only when it is used, and copies under other names are not found. Clips in files
    always are identified by path and bounds. losses: look for what reading
    leaves out, too.
    """

    def __init__(self, headers_only: bool = False, losses: bool = False) -> None:
        self.headers_only, self.losses = headers_only, losses
        self._known: OrderedDict[Medium, MediaFinding] = OrderedDict()

    def inspect(self, part: Medium) -> MediaFinding:
        """The finding about one part of a conversation."""
        if not isinstance(part.source, str | Path):
            return self._look(part)
        if (known := self._known.get(part)) is None:
            known = self._known[part] = self._look(part)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return known

    def _look(self, part: Medium) -> MediaFinding:
        if (problem := media_problem(part, self.headers_only)) is not None:
            return MediaFinding(problem)
        if isinstance(part, Video | Audio):
            return MediaFinding(None, _identity(part.source, True) + f"{part.start} {part.end}".encode())
        sources = (part.source, *part.joined)
        identity = b"".join(_identity(source, self.headers_only) for source in sources)
        size = read_size(part.source, reading=part.reading)
        return MediaFinding(None, identity, size, self._losses(part) if self.losses else ())

    def _losses(self, part: Image) -> Losses:
        """Those of all its files, each with the file's name."""
        return tuple(
            (loss, f"{name_of(source)}: {detail}")
            for source in (part.source, *part.joined)
            for loss, detail in what_is_lost(source, part.reading, headers_only=self.headers_only)
        )


def _identity(source: PictureSource | ClipSource, by_name: bool) -> bytes:
    """A digest of the content, or of the path."""
    digest = hashlib.blake2b(digest_size=8)
    if isinstance(source, tuple):
        digest.update(b"".join(_identity(frame, by_name) for frame in source))
    elif isinstance(source, str | Path) and by_name:
        digest.update(str(source).encode("utf-8", "surrogateescape"))
    elif isinstance(source, str | Path):
        with Path(source).open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    elif isinstance(source, bytes):
        digest.update(source)
    else:
        digest.update(source.tobytes())
    return digest.digest()
