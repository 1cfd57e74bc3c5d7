"""Pictures with a class each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import PIL.Image

from tessera.imaging.decode import decode_image
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown


class ClassPictures(Protocol):
    """Pictures by their place, RGB; the same whenever they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> PIL.Image.Image: ...

    @property
    def identity(self) -> str:
        """Text that differs wherever pictures or their order differ."""

    def name(self, place: int) -> str:
        """What a picture is called, for people."""


@dataclass(frozen=True)
class Labelled:
    """Pictures, the class of each by its number, and the classes' names."""

    pictures: ClassPictures
    labels: tuple[int, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """ValueError where they don't fit together."""
        if len(self.labels) != len(self.pictures):
            raise ValueError(f"labels: {len(self.labels)} for {len(self.pictures)} pictures")
        if not self.labels:
            raise ValueError("pictures: none given")
        if not 0 <= min(self.labels) <= max(self.labels) < len(self.names):
            odd = min(self.labels) if min(self.labels) < 0 else max(self.labels)
            raise ValueError(f"labels: {odd} is no class; there are {len(self.names)}, counted from 0")


@dataclass(frozen=True)
class PictureFiles:
    """Files, opened when they are asked for."""

    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> PIL.Image.Image:
        return decode_image(self.files[place])

    @property
    def identity(self) -> str:
        """By path, size and time of change of every file."""
        told = []
        for file in self.files:
            stat = file.stat()
            told.append(f"{file}\t{stat.st_size}\t{stat.st_mtime_ns}")
        return str(derive_seed("\n".join(told)))

    def name(self, place: int) -> str:
        """The last two parts of its path."""
        return shown(Path(*self.files[place].parts[-2:]))
