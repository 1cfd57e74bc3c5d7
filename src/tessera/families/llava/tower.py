"""Which InternViT a checkpoint in LLaVA's form has: by its own tensors, or by the tower that it names.

LLaVA's config.json names the ViT's folder and says nothing of its shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tessera.families.architecture import PartApart, StoredKeys
from tessera.families.entry import OWNER, VisionModel
from tessera.families.internvl.catalogue.vision_models import LARGE_224, LARGE_V1_0, LARGE_V1_2, LARGE_V1_5
from tessera.families.internvl.config.official import read_encoder, read_vision
from tessera.families.internvl.config.section import CONFIG_FILE, SECTION
from tessera.families.internvl.config.shapes import encoder_by_shapes
from tessera.families.keymap import Shape
from tessera.families.llava.weights import TOWER
from tessera.models.config import VisionConfig
from tessera.runtime.json_file import Section
from tessera.runtime.shown import shown

TOWERS = {vision.name.lower(): vision for vision in (LARGE_224, LARGE_V1_0, LARGE_V1_2, LARGE_V1_5)}
"""Released InternViTs that the authors' scripts name, by their names without owner in small letters."""
OLD_NAMES = {"internvit-6b-448px": "internvit-6b-448px-v1-0"}
"""Folders of the authors' scripts that bear no released name."""
REMEDY = (
    "an InternViT is needed here: the folder of one, or the name of a released one such as "
    "OpenGVLab/InternViT-6B-224px"
)
HEADS = "its folder, in which config.json tells the heads, is not where this names it: put it there"
SIDE, LARGE_SIDE = 336, 448
"""Pixels that LLaVA's tower resizes to: the larger where its name says 448."""


def tower_config(config: Section, folder: Path, keys: StoredKeys) -> VisionConfig:
    """The ViT as it is stored. ValueError naming `mm_vision_tower` where nothing tells what it is."""
    shapes = {key.removeprefix(TOWER): keys.shape(key) for key in keys if key.startswith(TOWER)}
    if (said := _said(config, folder)) is not None:
        return config.build(VisionConfig, **said.model_dump() | _stored_side(shapes, said))
    try:
        found = encoder_by_shapes(shapes, {})
    except ValueError as error:
        raise config.wrong("mm_vision_tower", f"{HEADS} ({shown(error)})") from error
    if found is not None:
        return found.config
    if (released := released_tower(config.text("mm_vision_tower"))) is not None:
        return released.config
    raise config.wrong("mm_vision_tower", REMEDY)


def _said(config: Section, folder: Path) -> VisionConfig | None:
    """The ViT as our own section, a section of others, or the tower's folder describes it."""
    if ours := config.part(SECTION).part("vision").content:
        return config.build(VisionConfig, **ours)
    if (nested := config.without_nulls().part("vision_config")).content:
        return read_vision(nested)
    for place in tower_places(config.text("mm_vision_tower"), folder):
        if (place / CONFIG_FILE).is_file():
            return read_encoder(place).config
    return None


def _stored_side(shapes: Mapping[str, Shape], said: VisionConfig) -> dict[str, int]:
    """Pixels for which positions are stored, where the tensors are there: LLaVA's trainer keeps new ones."""
    positions = shapes.get("embeddings.position_embedding")
    if positions is None or len(positions) != 3:
        return {}
    return {"image_size": round((positions[1] - 1) ** 0.5) * said.patch_size}


def released_tower(name: str) -> VisionModel | None:
    """The released InternViT that a path or a name ends with; None for another."""
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower()
    return TOWERS.get(OLD_NAMES.get(last, last))


def tower_apart(name: str, folder: Path) -> PartApart:
    """The tower of a checkpoint that does not hold it."""
    released = released_tower(name)
    hub = name if released is None else f"{OWNER}/{released.name}"
    return PartApart(TOWER, "mm_vision_tower", name, tower_places(name, folder), hub)


def tower_places(name: str, folder: Path) -> tuple[Path, ...]:
    """Folders in which the tower may lie: as named from the checkpoint and from here, in it, beside it."""
    given = Path(name)
    return (folder / given, given, folder / given.name, folder.parent / given.name)


def square_side(name: str) -> int:
    """Pixels of the square that a picture becomes, by the rule of the authors' code."""
    return LARGE_SIDE if str(LARGE_SIDE) in name else SIDE
