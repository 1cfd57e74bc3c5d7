"""The published layout: InternVL's config.json with a patch embedding for a ViT (docs/facts/mono.md)."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.families.architecture import Reading
from tessera.families.decoders.config import published_kind
from tessera.families.family import Family
from tessera.families.internvl.config import official
from tessera.families.internvl.config.section import ConfigFile
from tessera.families.keymap import KeyMap
from tessera.families.mono.config import MonoConfig, PatchConfig
from tessera.families.mono.weights import official_table
from tessera.models.config import DecoderConfig
from tessera.runtime.json_file import Section, write_json

MODEL_TYPE = official.MODEL_TYPE
FILES, LORA_RANKS = official.FILES, official.LORA_RANKS
PATCHES = "intern_vit_patch"
"""`model_type` of the nested vision config, by which the releases are told from InternVL's."""
READ = (
    *("image_size", "patch_size", "hidden_size", "layer_norm_eps"),
    *("drop_path_rate", "initializer_range", "initializer_factor"),
)
"""Keys of the nested vision config that a patch embedding has a use for; the rest describe no blocks."""


def reads(config: Mapping[str, Any]) -> bool:
    """Whether its vision part is a patch embedding."""
    vision = config.get("vision_config")
    return isinstance(vision, Mapping) and vision.get("model_type") == PATCHES


def key_table(family: Family) -> KeyMap:
    """By the language model whose class a new folder names."""
    decoder = family.model.decoder
    return official_table(published_kind(decoder), decoder.head_width)


def read_config(folder: Path, tokenizer: Tokenizer, keys: Collection[str]) -> Reading:
    """The member that config.json describes."""
    file = ConfigFile(folder, tokenizer, keys)
    return official.read_as(file, folder, MonoConfig, _patches, _table, architecture="mono")


def _table(decoder: DecoderConfig) -> KeyMap:
    return official_table(decoder.architecture, decoder.head_width)


def _patches(config: Section) -> PatchConfig:
    """With the class's own sizes for keys that a file leaves out."""
    said = {key: config.content[key] for key in READ if key in config}
    usual = {key: official.VISION_DEFAULTS[key] for key in READ if key in official.VISION_DEFAULTS}
    return config.build(PatchConfig, **usual | said)


def config_of(family: Family, tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of config.json; ValueError for a decoder that no published class computes."""
    content = official.config_of(family, tokenizer)
    said = {key: value for key, value in content["vision_config"].items() if key in READ}
    names = {"model_type": PATCHES, "architectures": ["InternVisionPatchModel"], "num_channels": 3}
    return content | {"vision_config": names | said}


def write_config(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """Write config.json, preprocessor_config.json and generation_config.json as other engines read them."""
    official.write_config(folder, family, tokenizer)
    write_json(folder / official.CONFIG_FILE, config_of(family, tokenizer))
