"""Tessera's layout: `tessera.json` with the family, weights under the model's own names, tokenizer files."""

from pathlib import Path
from typing import Any

from tessera.families.architecture import Reading
from tessera.families.family import Family
from tessera.runtime.json_file import Section, write_json
from tessera.runtime.shown import shown

CONFIG_FILE = "tessera.json"
FORMAT = 1


def describes(folder: Path) -> bool:
    """Whether the folder is in this layout."""
    return (folder / CONFIG_FILE).is_file()


def read_config(folder: Path) -> Reading:
    """Family and card. Raises ValueError naming file and field."""
    path = folder / CONFIG_FILE
    content = Section.of(path)
    if (found := content.whole("format")) != FORMAT:
        raise ValueError(f"{shown(path)}: format = {found}, this version reads {FORMAT}: update tessera-vl")
    said = content.section("family")
    return Reading(said.build(Family, **said.content), card=content.part("card").content)


def write_config(folder: Path, family: Family, card: dict[str, Any] | None) -> None:
    """Write `tessera.json`."""
    content = {"format": FORMAT, "family": family.model_dump(mode="json"), "card": card or {}}
    write_json(folder / CONFIG_FILE, content)
