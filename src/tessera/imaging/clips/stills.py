"""Clips that are stills: pictures of a folder, of a list, or in memory."""

import re
from collections.abc import Sequence
from pathlib import Path

import PIL.Image

from tessera.imaging.clips.container import ClipError, VideoSource, blamed, clip_error
from tessera.imaging.pictures.sources import Source, local_path
from tessera.runtime.shown import shown

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def stills_of(source: VideoSource) -> Sequence[Source] | None:
    """The pictures that make up a clip, in order; None for a file, which has to be decoded.

    Raises ClipError when there is no such file or folder, or no picture in it.
    """
    if isinstance(source, tuple):
        if not source:
            raise clip_error(source, "an empty tuple of frames; pass at least one picture")
        return source
    path = clip_path(source)
    with blamed(path, "no such file or folder; check the path", "missing"):
        return frame_paths(path) if path.is_dir() else None


def are_frames(value: object) -> bool:
    """Whether a list holds pictures, or names that all end like stills: it is one clip, and not several."""
    if not isinstance(value, list | tuple) or not value:
        return False
    return all(
        isinstance(entry, PIL.Image.Image)
        or (isinstance(entry, str | Path) and str(entry).lower().endswith(PICTURE_SUFFIXES))
        for entry in value
    )


def clip_path(source: str | Path) -> Path:
    """The file or folder that a source names; ClipError when it names none."""
    if isinstance(source, Path):
        return source
    if not isinstance(source, str):
        what = f"{shown(source)} is no file, folder or tuple of pictures; clips are read from files"
        raise ClipError(f"video: {what}", "missing")
    try:
        return local_path(source)
    except ValueError as error:
        raise ClipError(f"video: {shown(error)}", "missing") from error


def frame_paths(folder: Path) -> list[Path]:
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
