"""Pictures with classes to learn from and held out: folders of classes, or ImageNet's lists."""

from pathlib import Path

from tessera.evaluation.embedding.folders import read_class_folders
from tessera.evaluation.embedding.labels import Labels
from tessera.runtime.shown import shown
from tessera.train.heads.labelled import Labelled, PictureFiles

HELD_OUT = ("val", "validation", "test")
CLASSES = "classes.txt"


def read_class_data(folder: Path) -> tuple[Labelled, Labelled]:
    """Pictures to learn from and held out.

    `train/CLASS/...` beside `val/CLASS/...` (or validation, or test); or lists `train.txt` and `val.txt` of
    lines "path number", as ImageNet's, paths from `train/`, `val/` or the folder itself; `classes.txt` has
    the names then. ValueError naming what is missing or doesn't fit.
    """
    if not folder.is_dir():
        raise ValueError(f"{shown(folder)} is no folder: give one that holds train and val")
    held_out = next((name for name in HELD_OUT if (folder / f"{name}.txt").is_file()), None)
    if (folder / "train.txt").is_file() and held_out:
        return _of_lists(folder, held_out)
    held_out = next((name for name in HELD_OUT if (folder / name).is_dir()), None)
    if not (folder / "train").is_dir() or not held_out:
        raise ValueError(
            f"{shown(folder)}: neither train/ and val/ with a folder a class, nor train.txt and val.txt"
        )
    here = tuple(
        sorted(one.name for one in (folder / "train").iterdir() if one.is_dir() and one.name[0] != ".")
    )
    train, held = (_of_folder(folder / part, Labels(here, here)) for part in ("train", held_out))
    return train, held


def _of_folder(folder: Path, labels: Labels) -> Labelled:
    found = read_class_folders(folder, labels)
    return Labelled(PictureFiles(found.pictures), found.truths, found.names)


def _of_lists(folder: Path, held_out: str) -> tuple[Labelled, Labelled]:
    train, held = (_listed(folder, part) for part in ("train", held_out))
    count = 1 + max(number for _, number in (*train, *held))
    names = tuple(f"class {number}" for number in range(count))
    if (folder / CLASSES).is_file():
        names = tuple((folder / CLASSES).read_text(encoding="utf-8").splitlines())
        if len(names) < count:
            raise ValueError(
                f"{shown(folder / CLASSES)}: {len(names)} names, the lists have class {count - 1}"
            )
    made = [
        Labelled(PictureFiles(tuple(f for f, _ in p)), tuple(n for _, n in p), names) for p in (train, held)
    ]
    return made[0], made[1]


def _listed(folder: Path, part: str) -> list[tuple[Path, int]]:
    """Files and numbers of a list. ValueError naming the line."""
    file, found = folder / f"{part}.txt", []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        if not name or not label.isdecimal():
            raise ValueError(f"{shown(file)}, line {number}: {shown(line)} is no path and number")
        place = folder / part / name
        found.append((place if place.is_file() else folder / name, int(label)))
    if not found:
        raise ValueError(f"{shown(file)} names no picture")
    if missing := [path for path, _ in found if not path.is_file()]:
        raise ValueError(f"{shown(file)}: {shown(missing[0])} is not there")
    return found
