"""The declared architectures by name, and by the `model_type` of a checkpoint's config.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tessera.families.architecture import Architecture, PublishedLayout

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

    return {INTERNVL.name: INTERNVL, **_REGISTERED}


def get_architecture(name: str) -> Architecture:
    """The architecture of this name; ValueError naming those there are."""
    found = architectures().get(name)
    if found is None:
        raise ValueError(f"architecture = {name!r} is unknown: choose {', '.join(architectures())}")
    return found


def find_layout(model_type: object) -> tuple[Architecture, str, PublishedLayout] | None:
    """Who reads a config.json of this `model_type`: architecture, name of the layout, and its reader."""
    for architecture in architectures().values():
        for name, layout in architecture.layouts.items():
            if model_type == layout.MODEL_TYPE:
                return architecture, name, layout
    return None


def model_types() -> tuple[str, ...]:
    """Every `model_type` that is read."""
    return tuple(layout.MODEL_TYPE for a in architectures().values() for layout in a.layouts.values())
