"""What both published layouts share: the name of a model, and the section for what they have no words for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tessera.families.catalogue import get_entry, identify
from tessera.families.entry import Entry
from tessera.families.family import Family
from tessera.models.config import VLMConfig

SECTION = "tessera"
"""Key of our section in another layout's config.json; other engines do not read it."""
SNAPSHOTS = "snapshots"


def kept_section(family: Family) -> dict[str, Any]:
    """What neither the official nor transformers' config can say about a family."""
    vision, decoder = internvl(family).vision, family.model.decoder
    return {
        "name": family.name,
        "architecture": decoder.architecture,
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


def internvl(family: Family) -> VLMConfig:
    """The model's config; ValueError for a family of another architecture."""
    if not isinstance(family.model, VLMConfig):
        raise ValueError(f"{family.name} is a model of {family.architecture}: this layout is InternVL's")
    return family.model
