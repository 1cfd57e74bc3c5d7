"""One question of a benchmark as read, its pictures and clips as files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tessera.scoring.verdict import Reference


@dataclass(frozen=True)
class MediaFile:
    """A picture, a clip, or a folder of frames; `start` and `end` in seconds bound a clip."""

    path: Path
    kind: Literal["image", "video"] = "image"
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Item:
    """index: unique within the benchmark, also as text. media: in the order in which the data name them."""

    index: str
    reference: Reference
    media: tuple[MediaFile, ...] = ()
