"""Tessera's layout: `tessera.json` with the family, weights under the model's own names, tokenizer files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tessera.families.family import Family
from tessera.runtime.json_file import read_object, write_json

CONFIG_FILE = "tessera.json"
FORMAT = 1


def describes(folder: Path) -> bool:
    """Whether the folder is in this layout."""
    return (folder / CONFIG_FILE).is_file()


def read_config(folder: Path) -> tuple[Family, dict[str, Any]]:
    """The family and the card. Raises ValueError naming file and field."""
    path = folder / CONFIG_FILE
    content = read_object(path)
    if content.get("format") != FORMAT:
        raise ValueError(
            f"{path}: format = {content.get('format')!r}, this version reads {FORMAT}: update tessera-vl"
        )
    try:
        family = Family.model_validate(content.get("family"))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in ("family", *first["loc"]))
        raise ValueError(
            f"{path}: {field}: {first['msg']}; save the checkpoint again or mend the field"
        ) from error
    return family, content.get("card") or {}


def write_config(folder: Path, family: Family, card: dict[str, Any] | None) -> None:
    """Write `tessera.json`."""
    content = {"format": FORMAT, "family": family.model_dump(mode="json"), "card": card or {}}
    write_json(folder / CONFIG_FILE, content)
