"""Pictures below a root, found and measured by their headers; those that stand in a row as base64 are stored
in a folder of their own."""

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tessera.annotations.coordinates import Size
from tessera.annotations.rejects import Fault, Rejected
from tessera.imaging.decode import read_size
from tessera.imaging.pictures.sources import inline_bytes, naked_bytes
from tessera.records.record import SURROGATE
from tessera.records.writing import picture_ending
from tessera.runtime.shown import shown

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""Names that count as pictures when folders are listed."""
REMEMBERED = 4096


@dataclass(frozen=True)
class Picture:
    """A picture by its path from the root (with /, without . and ..) and its size in pixels.

    stored: it came as base64, and the path starts at the folder of stored pictures.
    """

    path: str
    size: Size
    stored: bool = False


class Pictures:
    """Looks pictures up below a root folder, and stores those of rows in `store`.

    ValueError when the root is no folder.
    """

    def __init__(self, root: Path, store: Path) -> None:
        if not root.is_dir():
            raise ValueError(
                f"root: {shown(root)} is no folder; give the folder that picture names start from"
            )
        self.root, self._store = root, store
        self._measure = lru_cache(maxsize=REMEMBERED)(self._read)

    def find(self, name: object) -> Picture:
        """The picture of a name from the root, or of base64. Rejected: neither, outside, missing, broken."""
        if not isinstance(name, str) or not name.strip():
            raise Rejected(Fault.BAD_ROW, f"{shown(name)} is no picture's name")
        if (data := _inline(name)) is not None:
            return self._kept(data)
        if SURROGATE.search(name):
            raise Rejected(Fault.BAD_ROW, f"the name {shown(name)} is not UTF-8; rename the file")
        anchor = os.path.abspath(self.root)
        path = os.path.relpath(os.path.join(anchor, name), anchor)
        if path == ".." or path.startswith("../"):
            raise Rejected(Fault.OUTSIDE_ROOT, name)
        return Picture(Path(path).as_posix(), self._measure(path))

    def find_stem(self, stem: str) -> Picture:
        """The picture of a name without its ending. Rejected when there is none."""
        for ending in ENDINGS:
            for name in (stem + ending, stem + ending.upper()):
                if os.path.isfile(self.root / name):
                    return self.find(name)
        raise Rejected(Fault.MISSING_PICTURE, f"{shown(self.root / stem)} with any of {', '.join(ENDINGS)}")

    def file(self, picture: Picture) -> Path:
        """Where a picture lies."""
        return (self._store if picture.stored else self.root) / picture.path

    def _read(self, path: str) -> Size:
        file = self.root / path
        # Unlike Path's, this is False, too, for a name that the file system refuses.
        if not os.path.isfile(file):
            raise Rejected(Fault.MISSING_PICTURE, shown(file))
        return _size(file)

    def _kept(self, data: bytes) -> Picture:
        """A picture of a row as a file, named by its content: equal ones are kept once."""
        size = _size(data)
        name = hashlib.blake2b(data, digest_size=12).hexdigest() + picture_ending(data)
        if not (file := self._store / name).exists():
            self._store.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return Picture(name, size, stored=True)


def is_picture(path: Path) -> bool:
    """Whether a file's name ends like a picture's."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def _size(source: Path | bytes) -> Size:
    try:
        return read_size(source)
    except (ValueError, OSError) as error:
        raise Rejected(Fault.BROKEN_PICTURE, str(error)) from error


def _inline(text: str) -> bytes | None:
    """The bytes of a picture that stands in a row, None for what is a name. Rejected when it is broken."""
    try:
        return inline_bytes(text) if text[:5].lower() == "data:" else naked_bytes(text)
    except ValueError as error:
        raise Rejected(Fault.BROKEN_PICTURE, str(error)) from error
