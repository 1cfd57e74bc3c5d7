"""What to train on, as frozen settings: InternVL's meta file (facts 5.1), its like in YAML, playgrounds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from tessera.playground.scene import LEVELS, SUITES, TASKS
from tessera.playground.talk import Mode
from tessera.records.files.mapping import read_mapping
from tessera.records.files.places import Location, is_url, location, suffix
from tessera.records.forms.detect import FormName
from tessera.records.record import short
from tessera.runtime.config import Config

SUFFIXES = (".jsonl", ".json", ".parquet", ".tar")
"""What an annotation may end in."""


class DatasetSpec(Config):
    """One dataset of records in files. A `Path` is local, a `str` the URL of a remote file or folder."""

    name: str
    annotation: Path | str
    """the file of records, or several: `shard-{000..012}.tar`, `part-*.parquet`"""
    root: Path | str
    """the folder that media paths start from and stay in"""
    format: Literal["auto"] | FormName = "auto"
    """how records are written; auto decides for every file by its first records"""
    system: str | None = None
    """system text of records that have none; None leaves the template's"""
    academic: bool = False
    """a published data set that the filters of multimodal data leave alone"""
    data_augment: bool = False
    """JPEG augmentation of pictures"""
    max_dynamic_patch: int | None = Field(default=None, ge=1)
    """tile limit of this dataset; None takes the encoder's"""
    min_frames: int = Field(default=8, ge=1)
    """fewest frames of a clip in training"""
    max_frames: int = Field(default=32, ge=1)
    """most frames of a clip in training"""
    frame_sampling: Literal["random", "uniform"] = "random"
    """random: number and places of frames are drawn in every visit; uniform: as in inference"""
    pretraining: bool = False
    """documents and captions: no roles, loss on all text"""
    repeat_time: float = Field(default=1.0, gt=0)
    """passes per epoch; a fraction takes another random part of the records in every epoch"""
    length: int | None = None
    """number of records for information; not used"""
    weight: float | None = Field(default=None, gt=0)
    """relative probability of a draw; None means records x repeat_time"""

    @field_validator("annotation", "root")
    @classmethod
    def _typed(cls, value: Path | str) -> Path | str:
        """Local names as paths, so that the type tells what is remote."""
        return location(value)


ENTRY_KEYS = tuple(name for name in DatasetSpec.model_fields if name != "name")


class PlaygroundSource(Config):
    """Pictures drawn while training, each with several questions in one conversation."""

    name: str = "playground"
    suites: dict[str, float] = Field(default_factory=lambda: dict.fromkeys(SUITES, 1.0), min_length=1)
    """suite name -> share"""
    tasks: tuple[str, ...] = ()
    """only questions of these tasks; empty takes all"""
    mode: Mode = "picture"
    """picture: as it is; caption: a caption in words instead of the picture; blind: neither"""
    questions: int = Field(default=8, ge=1)
    """most questions per scene"""
    descriptions: float = Field(default=0.0, ge=0, le=1)
    """share of scenes that ask for a description instead (mode "picture" only)"""
    levels: dict[int, float] = Field(default_factory=lambda: {2: 1.0}, min_length=1)
    """how hard the scenes are, 1 to 3 -> share"""
    sizes: tuple[tuple[int, int], ...] = ((64, 64),)
    """width and height of pictures in pixels; a size that stands twice is drawn twice as often"""
    seed: int = 0
    count: int | None = Field(default=None, ge=1)
    """how many scenes; None draws new ones for ever"""
    weight: float = Field(default=1.0, gt=0)
    """relative probability of a draw"""

    @field_validator("suites", "tasks", "levels")
    @classmethod
    def _known(cls, value: Any, info: ValidationInfo) -> Any:
        known: dict[str, tuple[int | str, ...]] = {"suites": SUITES, "tasks": tuple(TASKS), "levels": LEVELS}
        choices = known[str(info.field_name)]
        unknown = [name for name in value if name not in choices]
        if unknown:
            raise ValueError(f"{unknown} unknown; choose among {', '.join(map(str, choices))}")
        return value


def read_meta(file: Path | str, base: Path | str | None = None) -> tuple[DatasetSpec, ...]:
    """The sources of a manifest: InternVL's meta file, or YAML of the same shape with more keys.

    Relative paths start at `base` (a folder or URL), by default the folder of the file. ValueError naming
    dataset, key and remedy for anything unknown, missing, of the wrong type or written twice.
    """
    file = Path(file)
    folder = file.parent if base is None else location(base)
    return tuple(_spec(file, folder, name, entry) for name, entry in read_mapping(file).items())


def _spec(file: Path, folder: Location, name: str, entry: object) -> DatasetSpec:
    """One entry of the manifest, checked key by key."""
    if not isinstance(entry, dict):
        raise ValueError(f"{file}: {name}: {short(entry)} is not an object with {', '.join(ENTRY_KEYS)}")
    unknown = sorted(str(key) for key in entry if key not in ENTRY_KEYS)
    if unknown:
        allowed = ", ".join(ENTRY_KEYS)
        raise ValueError(f"{file}: {name}: unknown keys {', '.join(unknown)}; allowed: {allowed}")
    for key, value in entry.items():
        kinds, what = _TYPES[key]
        if type(value) not in kinds:
            raise ValueError(f"{file}: {name}.{key}: {short(value)} is not {what}; correct it")
    for key in _POSITIVE:
        if key in entry and not 0 < entry[key] < math.inf:
            raise ValueError(f"{file}: {name}.{key}: {entry[key]}; it must be above 0")
    if entry.get("min_frames", 8) > entry.get("max_frames", 32):
        raise ValueError(f"{file}: {name}: min_frames is above max_frames; their defaults are 8 and 32")
    for key, choices in _CHOICES.items():
        if key in entry and entry[key] not in choices:
            raise ValueError(f"{file}: {name}.{key}: {short(entry[key])}; choose among {', '.join(choices)}")
    return DatasetSpec(name=name, **{**entry, **_located(file, folder, name, entry)})


def _located(file: Path, folder: Location, name: str, entry: dict[str, Any]) -> dict[str, Location]:
    """Annotation and root, relative ones from `folder`; absolute ones and URLs stay as they are."""
    for key in ("annotation", "root"):
        if "\0" in entry.get(key, ""):
            raise ValueError(
                f"{file}: {name}.{key}: {short(entry[key])} holds a NUL character; correct the path"
            )
    annotation = entry.get("annotation", "")
    if suffix(annotation if is_url(annotation) else Path(annotation)) not in SUFFIXES:
        found = annotation or "missing"
        kinds = ", ".join(SUFFIXES)
        raise ValueError(f"{file}: {name}.annotation: {found}; give the path of a file that ends in {kinds}")
    return {"annotation": location(annotation, folder), "root": location(entry.get("root", ""), folder)}


_TEXT: tuple[tuple[type, ...], str] = ((str,), "text")
_FLAG: tuple[tuple[type, ...], str] = ((bool,), "true or false")
_WHOLE: tuple[tuple[type, ...], str] = ((int,), "an integer")
_NUMBER: tuple[tuple[type, ...], str] = ((int, float), "a number")
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("root", "annotation", "format", "system", "frame_sampling"), _TEXT),
    **dict.fromkeys(("data_augment", "academic", "pretraining"), _FLAG),
    **dict.fromkeys(("max_dynamic_patch", "length", "min_frames", "max_frames"), _WHOLE),
    **dict.fromkeys(("repeat_time", "weight"), _NUMBER),
}
_POSITIVE = ("repeat_time", "weight", "max_dynamic_patch", "min_frames", "max_frames")
_CHOICES = {"format": ("auto", *get_args(FormName)), "frame_sampling": ("random", "uniform")}
