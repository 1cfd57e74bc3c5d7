"""What a layout's config says, in our words, and the section in which we keep what it has no words for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessera.runtime.json_file import read_object
from tessera.families.catalogue import get_entry, identify
from tessera.families.entry import Entry
from tessera.families.family import Family
from tessera.models.config import IMAGENET_MEAN, IMAGENET_STD

Triple = tuple[float, float, float]

SECTION = "tessera"
"""Key of our section in another layout's config.json; other engines do not read it."""
SNAPSHOTS = "snapshots"


@dataclass(frozen=True)
class Reading:
    """A family and what is to be known beside it.

    `stored_grid`: patches along a side of the stored position embedding, where the model has others.
    """

    family: Family
    notes: tuple[str, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)
    stored_grid: int | None = None


def kept_section(family: Family) -> dict[str, Any]:
    """What neither the official nor transformers' config can say about a family."""
    vision = family.model.vision
    return {
        "name": family.name,
        "architecture": family.model.decoder.architecture,
        "template": family.template,
        "system_text": family.system_text,
        "frame_label": family.frame_label,
        "frames": family.frames,
        "tiling": family.tiling.model_dump(mode="json", exclude={"tile_side"}),
        "drop_path_rate": vision.drop_path_rate,
        "initializer_range": vision.initializer_range,
        "initializer_factor": vision.initializer_factor,
    }


def name_of(folder: Path, config: dict[str, Any], section: dict[str, Any]) -> str:
    """The model's name: what we wrote, else a name of the catalogue, else the folder's.

    Released configs hold a folder of the authors' cluster as `_name_or_path`, so that comes last.
    """
    if section.get("name"):
        return str(section["name"])
    candidates = [folder_name(folder), Path(str(config.get("_name_or_path") or "")).name]
    known = [entry.name for name in candidates if (entry := catalogue_entry(name))]
    return (known or candidates)[0]


def folder_name(folder: Path) -> str:
    """Last part of a path; for a snapshot in the hub's cache, the model's name."""
    place = folder.absolute()
    if place.parent.name == SNAPSHOTS:
        return place.parent.parent.name.rpartition("--")[2]
    return place.name


def catalogue_entry(name: str) -> Entry | None:
    """The catalogue's entry of this name, with or without transformers' `-hf`."""
    try:
        return get_entry(name)
    except ValueError:
        return None


def with_known_label(family: Family, section: dict[str, Any]) -> Family:
    """The family with the frame label and frames that we wrote, else with the label of the released model."""
    if section:
        kept: dict[str, Any] = {key: section[key] for key in ("frame_label", "frames") if key in section}
        return family.model_copy(update=kept)
    entry = catalogue_entry(family.name) or identify(family)
    return family if entry is None else family.model_copy(update={"frame_label": entry.frame_label})


def pixel_statistics(path: Path, inside: str | None = None) -> tuple[Triple, Triple]:
    """Mean and standard deviation of the pixels from a processor's file, ImageNet's when it says nothing."""
    content = read_object(path) if path.is_file() else {}
    content = content.get(inside) or {} if inside else content
    mean = tuple(content.get("image_mean") or IMAGENET_MEAN)
    std = tuple(content.get("image_std") or IMAGENET_STD)
    if len(mean) != 3 or len(std) != 3:
        raise ValueError(f"{path}: image_mean {mean} and image_std {std} need three numbers each")
    return mean, std
