"""Tessera's layout: `tessera.json` with the family, weights under the model's own names, tokenizer files."""

from pathlib import Path
from typing import Any

from tessera.families.architecture import Reading
from tessera.families.family import Family
from tessera.runtime.json_file import Section, write_json
from tessera.runtime.shown import shown

CONFIG_FILE = "tessera.json"
FORMAT, QUANTISED_FORMAT = 1, 2
"""The second is that of weights in few bits, which older versions don't read."""
QUANTISED = "quantised"
"""Section that says how (`quantised.form`)."""


def describes(folder: Path) -> bool:
    """Whether the folder is in this layout."""
    return (folder / CONFIG_FILE).is_file()


def read_config(folder: Path) -> Reading:
    """Family and card. Raises ValueError naming file and field."""
    path = folder / CONFIG_FILE
    content = Section.of(path)
    wanted = QUANTISED_FORMAT if QUANTISED in content else FORMAT
    if (found := content.whole("format")) != wanted:
        raise ValueError(f"{shown(path)}: format = {found}, this version reads {wanted}: update tessera-vl")
    said = content.section("family")
    return Reading(said.build(Family, **said.content), card=content.part("card").content)


def write_config(
    folder: Path, family: Family, card: dict[str, Any] | None, quantised: dict[str, Any] | None = None
) -> None:
    """Write `tessera.json`; `quantised`: how weights in few bits are stored."""
    said = {"family": family.model_dump(mode="json"), "card": card or {}}
    form = {} if quantised is None else {QUANTISED: quantised}
    number = FORMAT if quantised is None else QUANTISED_FORMAT
    write_json(folder / CONFIG_FILE, {"format": number, **form, **said})
