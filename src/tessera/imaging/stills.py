"""Clips that are stills: pictures of a folder, of a list, or in memory."""

import re
from collections.abc import Sequence
from pathlib import Path

from tessera.imaging.container import VideoSource, blamed, clip_error
from tessera.imaging.decode import Source

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def stills_of(source: VideoSource) -> Sequence[Source] | None:
    """The pictures that make up a clip, in order; None for a file, which has to be decoded.

    Raises ClipError when there is no such file or folder, or no picture in it.
    """
    if isinstance(source, tuple):
        if not source:
            raise clip_error(source, "an empty tuple of frames; pass at least one picture")
        return source
    path = Path(source)
    with blamed(path, "no such file or folder; check the path", "missing"):
        return _frame_paths(path) if path.is_dir() else None


def _frame_paths(folder: Path) -> list[Path]:
    """The pictures of a folder by the number that ends their name: frame_2 before frame_10."""
    numbered: list[tuple[int, str, Path]] = []
    for path in folder.iterdir():
        if path.suffix.lower() not in PICTURE_SUFFIXES or path.name.startswith("."):
            continue
        digits = re.split(r"\D", path.stem, flags=re.ASCII)[-1]
        if not digits or len(digits) > 18:
            what = f"'{path.name}' does not end in a number; name frames *_1.jpg, ..."
            raise clip_error(folder, what)
        numbered.append((int(digits), path.name, path))
    if not numbered:
        raise clip_error(folder, "it holds no pictures; name frames *_1.jpg, *_2.jpg, ...")
    return [path for _, _, path in sorted(numbered)]
