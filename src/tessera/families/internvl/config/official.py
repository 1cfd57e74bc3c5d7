"""The OpenGVLab layout: config.json with nested vision_config and llm_config (facts 1.1, 1.2, 2.1).

One class name stands for chat and for reward models (VisualPRM): their tensors are the same.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import IMG_CONTEXT
from tessera.families.architecture import Reading, StoredGrid
from tessera.families.decoders.config import kind_of, published_kind, read_decoder, write_decoder
from tessera.families.decoders.rope import rope_scaling
from tessera.families.entry import Entry
from tessera.families.family import Family
from tessera.families.internvl.config.section import (
    SECTION,
    catalogue_entry,
    internvl,
    kept_section,
    name_of,
    with_known_label,
)
from tessera.families.internvl.preprocess import PIXELS_FILE, pixel_statistics
from tessera.families.internvl.prompt import GENERATION_FILE, special_ids, write_generation
from tessera.families.internvl.weights import official_table
from tessera.families.keymap import KeyMap
from tessera.imaging.grid import Tiling
from tessera.models.config import DecoderConfig, VisionConfig, VLMConfig
from tessera.runtime.json_file import read_object, require, write_json

CONFIG_FILE = "config.json"
MODEL_TYPE = "internvl_chat"
FILES = (CONFIG_FILE, PIXELS_FILE, GENERATION_FILE)
LORA_RANKS = {"language_model": "use_llm_lora", "vision_model": "use_backbone_lora"}
POSITIONS = "vision.embeddings.position_embedding"
HEAD = "decoder.lm_head.weight"

VISION_DEFAULTS: dict[str, Any] = {
    "image_size": 224,
    "patch_size": 14,
    "hidden_size": 3200,
    "num_hidden_layers": 48,
    "num_attention_heads": 25,
    "intermediate_size": 12800,
    "norm_type": "rms_norm",
    "layer_norm_eps": 1e-6,
    "qk_normalization": True,
    "qkv_bias": False,
    "drop_path_rate": 0.0,
    "initializer_range": 0.02,
    "initializer_factor": 0.1,
}
"""What the official config class takes for keys that a file leaves out."""


def key_table(family: Family, folder: Path | None, keys: Collection[str]) -> KeyMap:
    """By the language model whose class the folder names, or the one that a new folder will name."""
    decoder = family.model.decoder
    if folder is None:
        return official_table(published_kind(decoder), decoder.head_width)
    path = folder / CONFIG_FILE
    nested = require(read_object(path), "llm_config", str(path))
    return official_table(kind_of(nested, f"{path}: llm_config"), decoder.head_width)


def read_config(folder: Path, tokenizer: Tokenizer, keys: Collection[str]) -> Reading:
    """The family that config.json describes; `keys` are the tensors in the files, empty when unknown.

    Raises ValueError naming file, key and remedy.
    """
    path = folder / CONFIG_FILE
    config = read_object(path)
    if config.get("pad2square"):
        raise ValueError(f"{path}: pad2square = true is not supported; no released model uses it")
    section = config.get(SECTION) or {}
    name = name_of(folder, config, section)
    known = catalogue_entry(name)
    notes: list[str] = []
    model, stored_grid = _read_model(config, path, tokenizer, keys, notes)
    template = config.get("template") or _catalogue_template(known, path, notes)
    if template not in TEMPLATES:
        raise ValueError(f"{path}: template = {template!r} is unknown; choose one of {', '.join(TEMPLATES)}")
    if "system_message" in config and config["system_message"] is None:
        notes.append(f"{path}: system_message is null: the sentence of template {template!r} is used")
    family = Family(
        name=name,
        model=model,
        tiling=_read_tiling(config, model.tile_side),
        template=template,
        system_text=config.get("system_message"),
    )
    return Reading(with_known_label(family, section), tuple(notes), stored_grid=stored_grid)


def _catalogue_template(known: Entry | None, path: Path, notes: list[str]) -> str:
    if known is None:
        raise ValueError(f"{path}: 'template' is missing; fetch the config again, or add the template's name")
    notes.append(f"{path}: template is missing: {known.template!r} of {known.name} is used")
    return known.template


def _read_model(
    config: dict[str, Any], path: Path, tokenizer: Tokenizer, keys: Collection[str], notes: list[str]
) -> tuple[VLMConfig, StoredGrid | None]:
    """The model, and the grid of the stored position embedding where it is another."""
    vision = read_vision(require(config, "vision_config", str(path)), f"{path}: vision_config")
    size = config.get("force_image_size") or vision.image_size
    stored_grid = None
    if size != vision.image_size:
        notes.append(
            f"{path}: force_image_size = {size} but vision_config.image_size = {vision.image_size}: "
            "the position embedding is resized"
        )
        resized = VisionConfig(**(vision.model_dump() | {"image_size": size}))
        stored_grid = StoredGrid(POSITIONS, vision.grid, resized.grid)
        vision = resized
    mean, std = pixel_statistics(path.parent / PIXELS_FILE)
    model = VLMConfig(
        vision=vision,
        decoder=_read_decoder(config, path, keys, notes),
        image_token_id=tokenizer.token_id(IMG_CONTEXT),
        select_layer=config.get("select_layer", -1),
        downsample_ratio=config.get("downsample_ratio", 0.5),
        ps_version=config.get("ps_version", "v1"),
        mean=mean,
        std=std,
    )
    return model, stored_grid


def _read_decoder(
    config: dict[str, Any], path: Path, keys: Collection[str], notes: list[str]
) -> DecoderConfig:
    """The decoder; its head is tied when the config says so and no second matrix is stored."""
    nested, where = require(config, "llm_config", str(path)), f"{path}: llm_config"
    decoder = read_decoder(nested, where)
    head = official_table(decoder.architecture, decoder.head_width).group(HEAD).stored[0]
    tied = bool(nested.get("tie_word_embeddings"))
    if tied and head in keys:
        notes.append(f"{where}.tie_word_embeddings is true but {head} is stored: both matrices are used")
    original = (config.get(SECTION) or {}).get("architecture") or decoder.architecture
    return decoder.model_copy(
        update={"tie_word_embeddings": tied and head not in keys, "architecture": original}
    )


def _read_tiling(config: dict[str, Any], size: int) -> Tiling:
    return Tiling(
        tile_side=size,
        min_tiles=config.get("min_dynamic_patch", 1),
        max_tiles=config.get("max_dynamic_patch", 6),
        thumbnail=bool(config.get("use_thumbnail", False)),
        dynamic=bool(config.get("dynamic_image_size", False)),
    )


def read_vision(config: dict[str, Any], where: str) -> VisionConfig:
    """An InternViT config; unknown keys are inert leftovers in released files and are not read."""
    if config.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"{where}.hidden_act = {config['hidden_act']!r}: InternViT uses 'gelu'")
    return VisionConfig(**{key: config.get(key, default) for key, default in VISION_DEFAULTS.items()})


def write_config(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """Write config.json, preprocessor_config.json and generation_config.json as other engines read them."""
    write_json(folder / CONFIG_FILE, config_of(family, tokenizer))
    write_generation(folder, family, tokenizer)
    model, side = family.model, family.model.tile_side
    pixels = {"image_processor_type": "CLIPImageProcessor", "size": side, "crop_size": side, "resample": 3}
    pixels |= {"do_resize": True, "do_center_crop": True, "do_normalize": True}
    statistics = {"image_mean": list(model.mean), "image_std": list(model.std)}
    write_json(folder / PIXELS_FILE, pixels | statistics)


def config_of(family: Family, tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of config.json; ValueError for a decoder that no published class computes."""
    model, tiling = internvl(family), family.tiling
    content = {
        "_name_or_path": family.name,
        "architectures": ["InternVLChatModel"],
        "model_type": MODEL_TYPE,
        "vision_config": _vision_section(model.vision),
        "llm_config": _decoder_section(model.decoder, special_ids(family, tokenizer)),
        "select_layer": model.select_layer,
        "force_image_size": model.vision.image_size,
        "downsample_ratio": model.downsample_ratio,
        "ps_version": model.ps_version,
        "template": family.template,
        "dynamic_image_size": tiling.dynamic,
        "use_thumbnail": tiling.thumbnail,
        "min_dynamic_patch": tiling.min_tiles,
        "max_dynamic_patch": tiling.max_tiles,
        "pad2square": False,
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "tie_word_embeddings": False,
        SECTION: kept_section(family),
    }
    if family.system_text is not None:
        content["system_message"] = family.system_text
    return content


def _vision_section(vision: VisionConfig) -> dict[str, Any]:
    section = {"model_type": "intern_vit_6b", "architectures": ["InternVisionModel"]}
    return section | {"num_channels": 3, "hidden_act": "gelu"} | vision.model_dump(mode="json")


def _decoder_section(decoder: DecoderConfig, ids: dict[str, Any]) -> dict[str, Any]:
    """The head is always stored apart, as the official code expects."""
    section = write_decoder(decoder, published_kind(decoder), ids)
    scaling = rope_scaling(decoder)
    return section if scaling is None else section | {"rope_scaling": scaling}
