"""The declared architectures by name, and by the content of a checkpoint's config.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.runtime.shown import shown

if TYPE_CHECKING:
    from tessera.families.architecture import Architecture, EncoderReading, PublishedLayout

FIRST = "internvl"
"""What checkpoints of the first format, which name no architecture, are."""
_REGISTERED: dict[str, Architecture] = {}


def register(architecture: Architecture) -> None:
    """Make an architecture from outside the package known. ValueError when its name is taken."""
    known = architectures().get(architecture.name)
    if known is not None and known is not architecture:
        raise ValueError(f"architecture {architecture.name!r} is taken: give another name")
    _REGISTERED[architecture.name] = architecture


def architectures() -> dict[str, Architecture]:
    """Every architecture by name, the package's own first."""
    from tessera.families.internvl.architecture import INTERNVL
    from tessera.families.llava.architecture import LLAVA
    from tessera.families.mono.architecture import MONO
    from tessera.families.omni.architecture import OMNI

    own = (INTERNVL, LLAVA, MONO, OMNI)
    return {**{each.name: each for each in own}, **_REGISTERED}


def get_architecture(name: str) -> Architecture:
    """The architecture of this name; ValueError naming those there are."""
    found = architectures().get(name)
    if found is None:
        raise ValueError(f"architecture = {name!r} is unknown: choose {', '.join(architectures())}")
    return found


def find_layout(config: Mapping[str, Any], where: str) -> tuple[Architecture, str, PublishedLayout]:
    """Who reads the content of a config.json: architecture, name of the layout, and its reader.

    Several layouts may share a `model_type`: of those that read the content, the first family's comes last.
    Raises ValueError, naming the file `where`, when nobody does.
    """
    from tessera.families.pairs import find_pair

    if find_pair(config):
        raise ValueError(
            f"{where}: a contrastive pair, which does not chat: tessera.load opens it to embed pictures and "
            "texts and to write captions (docs/pair.md)"
        )
    model_type = config.get("model_type")
    every = [(found, *named) for found in architectures().values() for named in found.layouts.items()]
    alike = [one for one in every if model_type in _types(one[2]) and one[2].reads(config)]
    if alike:
        return next((one for one in alike if one[0].name != FIRST), alike[0])
    if find_encoder(model_type):
        raise ValueError(
            f"{where}: model_type = {shown(model_type)} is a ViT alone, which does not chat; open it with "
            "tessera.load_vision"
        )
    known = " and ".join(dict.fromkeys(layout.MODEL_TYPE for *_, layout in every))
    raise ValueError(
        f"{where}: model_type = {shown(model_type)} is unknown; this version opens {known}, so give an "
        "InternVL chat model in the original, transformers' or Tessera's layout"
    )


def model_types() -> set[str]:
    """`model_type` of every layout of a whole model."""
    layouts = (layout for found in architectures().values() for layout in found.layouts.values())
    return {name for layout in layouts for name in _types(layout)}


def _types(layout: PublishedLayout) -> tuple[str, ...]:
    return (layout.MODEL_TYPE, *getattr(layout, "ALSO", ()))


def find_encoder(model_type: object) -> Callable[[Path], EncoderReading] | None:
    """What reads the folder of a vision encoder alone of this `model_type`; None when nobody does."""
    for architecture in architectures().values():
        if isinstance(model_type, str) and model_type in architecture.encoders:
            return architecture.encoders[model_type]
    return None
