"""Clips that are animated pictures: GIF, WebP and PNG, known by their content, read by Pillow."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from tessera.imaging.clips.container import ClipError, blamed
from tessera.imaging.decode import open_lazily

_STARTS = (b"GIF87a", b"GIF89a", b"\x89PNG\r\n\x1a\n")
_USUAL_MILLISECONDS = 100.0
"""Browsers show a frame so long whose own time is 0."""


def is_animation(path: Path) -> bool:
    """Whether the content of a file is that of a picture that may move."""
    with blamed(path, "unreadable", "missing"), path.open("rb") as file:
        head = file.read(16)
    return head.startswith(_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def probe(path: Path) -> tuple[int, float, tuple[int, int]]:
    """Frames, frames per second (by the first) and size."""
    with _animation(path) as image:
        return _count(image), 1000.0 / _milliseconds(image), image.size


def frames_of(path: Path, indices: Sequence[int]) -> Iterator[tuple[int, PIL.Image.Image]]:
    """Number and picture, in its own mode, of some frames in ascending order: Pillow lays each over the ones
    before it."""
    with _animation(path) as image:
        for index in indices:
            with blamed(path, f"frame {index} is broken"):
                image.seek(index)
                picture = image.copy()
            yield index, picture


def times_of(path: Path, frames: int) -> NDArray[np.float64] | None:
    """When each frame is first shown and when the last ends, in seconds; None when all last equally long."""
    with _animation(path) as image:
        lengths = []
        for index in range(frames):
            image.seek(index)
            lengths.append(_milliseconds(image))
    if len(set(lengths)) == 1:
        return None
    return np.array([0.0, *accumulate(lengths)]) / 1000


def count_readable(path: Path, first: int, last: int) -> int:
    """How many frames from `first` to `last` can be decoded."""
    good = 0
    try:
        for index, _ in frames_of(path, range(last + 1)):
            good += index >= first
    except ClipError:  # the frames behind a broken one are lost with it
        return good
    return good


def _count(image: PIL.Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _milliseconds(image: PIL.Image.Image) -> float:
    length = float(image.info.get("duration", 0))
    return length if 0 < length < 1e9 else _USUAL_MILLISECONDS


@contextmanager
def _animation(path: Path) -> Iterator[PIL.Image.Image]:
    """The opened animated picture; Pillow's errors become ClipErrors that name the file."""
    with blamed(path, "not a readable picture", "not a video"):
        image = open_lazily(path)
    with image, blamed(path, "frames are broken"):
        yield image
