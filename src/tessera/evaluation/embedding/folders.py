"""Pictures that lie in a folder for each class, as ImageNet's do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tessera.engine.embedding.items import PICTURES
from tessera.evaluation.embedding.labels import Labels
from tessera.runtime.shown import shown


@dataclass(frozen=True)
class ClassFolders:
    """Pictures in order of class and name, the class of each by its number, and the classes' names."""

    pictures: tuple[Path, ...]
    truths: tuple[int, ...]
    names: tuple[str, ...]


def pictures_below(folder: Path) -> list[Path]:
    """Every picture below a folder, by path."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    return sorted(path for path in found if path.is_file())


def read_class_folders(folder: Path, labels: Labels | None = None) -> ClassFolders:
    """A folder of class folders. Without labels a class is called as its folder, `_` read as a space.

    Classes without a folder stay choices. Raises ValueError for a folder that no label knows, and where there
    are no pictures.
    """
    if not folder.is_dir():
        raise ValueError(f"{shown(folder)} is no folder: give one with a folder for each class")
    here = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if labels is None:
        labels = Labels(tuple(name.replace("_", " ") for name in here), tuple(here))
    if strange := [name for name in here if name not in labels.folders]:
        raise ValueError(
            f"{shown(folder / strange[0])}: no label is called so; give it in the file of labels as "
            "folder, tab, name"
        )
    found = [(path, labels.folders.index(name)) for name in here for path in pictures_below(folder / name)]
    if not found:
        raise ValueError(f"{shown(folder)}: no pictures in folders of classes below it")
    pictures, truths = zip(*found, strict=True)
    return ClassFolders(pictures, truths, labels.names)


def picture_files(given: Sequence[str]) -> list[Path]:
    """Files, and every picture below folders, in order. ValueError for what is not there or holds none."""
    found: list[Path] = []
    for place in map(Path, given):
        if not place.exists():
            raise ValueError(f"PICTURES {shown(place)}: no such file or folder")
        here = pictures_below(place) if place.is_dir() else [place]
        if not here:
            raise ValueError(f"PICTURES {shown(place)}: no picture below it")
        found += here
    if not found:
        raise ValueError("PICTURES: none given; name files or folders")
    return found
