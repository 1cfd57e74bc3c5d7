"""The published layout: InternVL's config.json with a patch embedding for a ViT (docs/facts/mono.md)."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.families.architecture import Reading
from tessera.families.family import Family
from tessera.families.internvl.config import official
from tessera.families.internvl.config.section import ConfigFile
from tessera.families.mono.config import EMBEDDING, MonoConfig, PatchConfig
from tessera.runtime.json_file import Section, write_json

MODEL_TYPE = official.MODEL_TYPE
FILES, LORA_RANKS, key_table = official.FILES, official.LORA_RANKS, official.key_table
PATCHES = "intern_vit_patch"
"""`model_type` of the nested vision config, by which the releases are told from InternVL's."""


def reads(config: Mapping[str, Any]) -> bool:
    """Whether its vision part is a patch embedding."""
    vision = config.get("vision_config")
    return isinstance(vision, Mapping) and vision.get("model_type") == PATCHES


def read_config(folder: Path, tokenizer: Tokenizer, keys: Collection[str]) -> Reading:
    """The member that config.json describes."""
    file = ConfigFile(folder, tokenizer, keys)
    return official.read_as(file, folder, MonoConfig, _patches, architecture="mono")


def _patches(config: Section) -> PatchConfig:
    """With the class's own sizes for keys that a file leaves out."""
    said = {key: config.content[key] for key in EMBEDDING if key in config}
    usual = {key: official.VISION_DEFAULTS[key] for key in EMBEDDING if key in official.VISION_DEFAULTS}
    return config.build(PatchConfig, **usual | said)


def config_of(family: Family, tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of config.json; ValueError for a decoder that no published class computes."""
    content = official.config_of(family, tokenizer)
    said = {key: value for key, value in content["vision_config"].items() if key in EMBEDDING}
    names = {"model_type": PATCHES, "architectures": ["InternVisionPatchModel"], "num_channels": 3}
    return content | {"vision_config": names | said}


def write_config(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """Write config.json, preprocessor_config.json and generation_config.json as other engines read them."""
    official.write_config(folder, family, tokenizer)
    write_json(folder / official.CONFIG_FILE, config_of(family, tokenizer))
