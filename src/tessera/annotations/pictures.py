"""Pictures below a root: found and measured by their headers."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tessera.annotations.coordinates import Size
from tessera.annotations.rejects import Fault, Rejected
from tessera.imaging.decode import read_size

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""Names that count as pictures when folders are listed."""
REMEMBERED = 4096


@dataclass(frozen=True)
class Picture:
    """A picture by its path from the root (with /, without . and ..) and its size in pixels."""

    path: str
    size: Size


class Pictures:
    """Looks pictures up below a root folder. ValueError when the root is no folder."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise ValueError(f"root: {root} is no folder; give the folder that picture names start from")
        self.root = root
        self._measure = lru_cache(maxsize=REMEMBERED)(self._read)

    def find(self, name: object) -> Picture:
        """The picture of a name from the root. Rejected: not a name, outside, missing, unreadable."""
        if not isinstance(name, str) or not name.strip():
            raise Rejected(Fault.BAD_ROW, f"{name!r} is no picture's name")
        anchor = os.path.abspath(self.root)
        path = os.path.relpath(os.path.join(anchor, name), anchor)
        if path == ".." or path.startswith("../"):
            raise Rejected(Fault.OUTSIDE_ROOT, name)
        return Picture(Path(path).as_posix(), self._measure(path))

    def find_stem(self, stem: str) -> Picture:
        """The picture of a name without its ending. Rejected when there is none."""
        for ending in ENDINGS:
            for name in (stem + ending, stem + ending.upper()):
                if (self.root / name).is_file():
                    return self.find(name)
        raise Rejected(Fault.MISSING_PICTURE, f"{self.root / stem} with any of {', '.join(ENDINGS)}")

    def _read(self, path: str) -> Size:
        file = self.root / path
        if not file.is_file():
            raise Rejected(Fault.MISSING_PICTURE, str(file))
        try:
            return read_size(file)
        except (ValueError, OSError) as error:
            raise Rejected(Fault.BROKEN_PICTURE, str(error)) from error


def is_picture(path: Path) -> bool:
    """Whether a file's name ends like a picture's."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")
