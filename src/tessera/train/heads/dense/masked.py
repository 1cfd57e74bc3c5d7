"""Pictures with a label for every pixel: folders as ADE20K's, and drawn ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL.Image

from tessera.imaging.decode import decode_image, open_lazily
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown
from tessera.scoring.dense.overlap import IGNORED

Labels = np.ndarray[Any, np.dtype[np.uint8]]
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
PARTS = {"training": ("training", "train"), "validation": ("validation", "val")}
"""Part of a data set -> names of its folders."""


class Masked(Protocol):
    """Pictures by their place, RGB, with labels uint8 [H, W]; 255 counts nowhere."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> tuple[PIL.Image.Image, Labels]: ...

    @property
    def identity(self) -> str:
        """Text that differs wherever pictures, labels or their order differ."""


@dataclass(frozen=True)
class MaskFiles:
    """Pictures and, of the same names, PNG files whose pixels are numbers of classes."""

    pairs: tuple[tuple[Path, Path], ...]
    names: tuple[str, ...]
    reduce_zero_label: bool
    """0 counts nowhere, and classes are numbered from 1, as ADE20K does."""

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, place: int) -> tuple[PIL.Image.Image, Labels]:
        picture, file = self.pairs[place]
        image, labels = decode_image(picture), read_labels(file, self.reduce_zero_label)
        if labels.shape != (image.height, image.width):
            raise ValueError(
                f"{shown(file)} has {labels.shape[1]} x {labels.shape[0]} pixels, its picture "
                f"{image.width} x {image.height}: they don't belong together"
            )
        known = labels[labels != IGNORED]
        if known.size and int(known.max()) >= len(self.names):
            raise ValueError(
                f"{shown(file)}: class {int(known.max())} of {len(self.names)} (counted from 0"
                f"{', behind reduce_zero_label' if self.reduce_zero_label else ''}): give more classes"
            )
        return image, labels

    @property
    def identity(self) -> str:
        """By path, size and time of change of every file."""
        told = [f"{self.names} {self.reduce_zero_label}"]
        for file in (file for pair in self.pairs for file in pair):
            stat = file.stat()
            told.append(f"{file}\t{stat.st_size}\t{stat.st_mtime_ns}")
        return str(derive_seed("\n".join(told)))


def read_labels(file: Path, reduce_zero_label: bool) -> Labels:
    """uint8 [H, W] of an annotation. ValueError for one with colours in place of numbers."""
    image = open_lazily(file)
    if image.mode not in ("L", "P"):
        raise ValueError(
            f"{shown(file)} has mode {image.mode}: annotations are PNG files of one number a pixel (L or P)"
        )
    labels = np.array(image, dtype=np.uint8)
    if reduce_zero_label:
        # 0 becomes 255, which counts nowhere and stays, and every other number one less.
        labels = np.where(labels == 0, IGNORED, labels) - 1
        labels = np.where(labels == IGNORED - 1, IGNORED, labels).astype(np.uint8)
    return labels


def read_masked(folder: Path, part: str, names: tuple[str, ...], reduce_zero_label: bool = True) -> MaskFiles:
    """`images/training` beside `annotations/training` (or train; validation or val), paired by name.

    ValueError for what is missing, naming it.
    """
    images, labels = (_part_of(folder / kind, part) for kind in ("images", "annotations"))
    files = sorted(path for path in images.iterdir() if path.suffix.lower() in PICTURES)
    if not files:
        raise ValueError(f"{shown(images)}: no pictures")
    pairs = tuple((path, labels / f"{path.stem}.png") for path in files)
    if missing := [label for _, label in pairs if not label.is_file()]:
        raise ValueError(f"{shown(missing[0])} is missing: every picture needs its annotation")
    return MaskFiles(pairs, names, reduce_zero_label)


def _part_of(folder: Path, part: str) -> Path:
    for name in PARTS[part]:
        if (folder / name).is_dir():
            return folder / name
    raise ValueError(f"{shown(folder / part)} is no folder: data lie as ADE20K's (images, annotations)")
