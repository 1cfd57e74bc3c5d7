"""The made-up family's published layout: config.json and a key table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.families.architecture import Reading
from tessera.families.family import Family
from tessera.families.keymap import KeyMap
from tessera.runtime.json_file import read_object, write_json
from tests.families.quill.config import QuillConfig
from tests.families.quill.weights import TABLE

MODEL_TYPE = "quill_vl"
FILES = ("config.json",)
LORA_RANKS: dict[str, str] = {}


def reads(config: Mapping[str, Any]) -> bool:
    return True


def read_config(folder: Path, tokenizer: Tokenizer, keys: Collection[str]) -> Reading:
    config = read_object(folder / "config.json")
    model = QuillConfig.model_validate(config["model"])
    family = Family.model_validate(config["family"] | {"architecture": "quill", "model": model})
    return Reading(family, TABLE)


def key_table(family: Family) -> KeyMap:
    return TABLE


def config_of(family: Family, tokenizer: Tokenizer) -> dict[str, Any]:
    content = family.model_dump(mode="json", exclude={"model", "architecture"})
    return {"model_type": MODEL_TYPE, "model": family.model.model_dump(mode="json"), "family": content}


def write_config(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    write_json(folder / "config.json", config_of(family, tokenizer))
