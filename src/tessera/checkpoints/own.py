"""Tessera's layout: `tessera.json` with the family, weights under the model's own names, tokenizer files."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tessera.families.architecture import Reading
from tessera.families.family import Family
from tessera.runtime.config import first_fault
from tessera.runtime.json_file import read_object, write_json

CONFIG_FILE = "tessera.json"
FORMAT = 1


def describes(folder: Path) -> bool:
    """Whether the folder is in this layout."""
    return (folder / CONFIG_FILE).is_file()


def read_config(folder: Path) -> Reading:
    """Family and card. Raises ValueError naming file and field."""
    path = folder / CONFIG_FILE
    content = read_object(path)
    if content.get("format") != FORMAT:
        raise ValueError(
            f"{path}: format = {content.get('format')!r}, this version reads {FORMAT}: update tessera-vl"
        )
    try:
        family = Family.model_validate(content.get("family"))
    except ValidationError as error:
        fault = first_fault(error, "family")
        raise ValueError(f"{path}: {fault}; save the checkpoint again or mend the field") from error
    return Reading(family, card=content.get("card") or {})


def write_config(folder: Path, family: Family, card: dict[str, Any] | None) -> None:
    """Write `tessera.json`."""
    content = {"format": FORMAT, "family": family.model_dump(mode="json"), "card": card or {}}
    write_json(folder / CONFIG_FILE, content)
