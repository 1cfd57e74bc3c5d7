"""What to train on: InternVL's meta file (facts 5.1) and the playground, as frozen settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from tessera.playground.scene import LEVELS, SUITES, TASKS
from tessera.playground.talk import Mode
from tessera.runtime.config import Config

ENTRY_KEYS = ("root", "annotation", "data_augment", "max_dynamic_patch", "repeat_time", "length")


class DatasetSpec(Config):
    """One dataset of JSONL records."""

    name: str
    annotation: Path
    """the JSONL file"""
    root: Path
    """the folder that media paths start from"""
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
    """interleaved documents: no roles, loss on all text"""
    repeat_time: float = Field(default=1.0, gt=0)
    """passes per epoch; a fraction takes another random part of the records in every epoch"""
    length: int | None = None
    """number of records for information; not used"""
    weight: float | None = Field(default=None, gt=0)
    """relative probability of a draw; None means records x repeat_time"""


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
    """The sources of a meta file. Relative paths start at `base`, by default the folder of the file.

    ValueError naming dataset, key and remedy for anything unknown, missing or of the wrong type.
    """
    file = Path(file)
    folder = Path(base) if base is not None else file.parent
    if not file.is_file():
        raise ValueError(f"meta file {file}: no such file; check the path")
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"meta file {file}: not JSON in UTF-8: {error}; correct the meta file") from error
    if not isinstance(entries, dict) or not entries:
        raise ValueError(f"meta file {file}: expected an object of dataset name -> entry")
    return tuple(_spec(file, folder, name, entry) for name, entry in entries.items())


def _spec(file: Path, folder: Path, name: str, entry: object) -> DatasetSpec:
    """One entry of the meta file, checked key by key."""
    if not isinstance(entry, dict):
        raise ValueError(f"{file}: {name}: {entry!r} is not an object with {', '.join(ENTRY_KEYS)}")
    unknown = sorted(set(entry) - set(ENTRY_KEYS))
    if unknown:
        allowed = ", ".join(ENTRY_KEYS)
        raise ValueError(f"{file}: {name}: unknown keys {', '.join(unknown)}; allowed: {allowed}")
    for key, (kinds, what) in _TYPES.items():
        if key in entry and type(entry[key]) not in kinds:
            raise ValueError(f"{file}: {name}.{key}: {entry[key]!r} is not {what}; correct it")
    if not str(entry.get("annotation", "")).endswith("jsonl"):
        found = entry.get("annotation", "missing")
        raise ValueError(f"{file}: {name}.annotation: {found}; give the path of a .jsonl file")
    for key, least in (("repeat_time", 0), ("max_dynamic_patch", 0)):
        if key in entry and entry[key] <= least:
            raise ValueError(f"{file}: {name}.{key}: {entry[key]}; it must be above {least}")
    return DatasetSpec(name=name, **{**entry, **_located(folder, entry)})


_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "root": ((str,), "text"),
    "annotation": ((str,), "text"),
    "data_augment": ((bool,), "true or false"),
    "max_dynamic_patch": ((int,), "an integer"),
    "repeat_time": ((int, float), "a number"),
    "length": ((int,), "an integer"),
}


def _located(folder: Path, entry: dict[str, Any]) -> dict[str, Path]:
    """Annotation and root as paths from `folder`; absolute ones stay as they are."""
    return {"annotation": folder / entry["annotation"], "root": folder / entry.get("root", "")}
