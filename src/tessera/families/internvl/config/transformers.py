"""transformers' layout, `InternVLForConditionalGeneration` (facts 2.2; other families 1.1).

Its config has no words for template, tiles and how frames are named: they stand in our own section, else in
the catalogue, else the rules of 2.5 and 3 hold, the only generations that were released in this layout.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import IMG_CONTEXT
from tessera.families.architecture import Reading
from tessera.families.decoders.config import kind_of, published_kind, read_decoder, write_decoder
from tessera.families.decoders.rope import rope_parameters
from tessera.families.family import Family
from tessera.families.internvl.config.section import (
    SECTION,
    catalogue_entry,
    internvl,
    kept_section,
    name_of,
    with_known_label,
)
from tessera.families.internvl.preprocess import (
    PIXELS_FILE,
    PROCESSOR_FILE,
    VIDEO_FILE,
    Processor,
    read_processor,
    write_processor,
)
from tessera.families.internvl.prompt import (
    CHAT_TEMPLATE_FILE,
    GENERATION_FILE,
    special_ids,
    write_generation,
)
from tessera.families.internvl.weights import transformers_table
from tessera.families.keymap import KeyMap
from tessera.imaging.grid import Tiling
from tessera.models.config import DecoderConfig, DecoderKind, VisionConfig, VLMConfig
from tessera.runtime.json_file import read_object, require, write_json

CONFIG_FILE = "config.json"
MODEL_TYPE = "internvl"
FILES = (CONFIG_FILE, PIXELS_FILE, GENERATION_FILE, CHAT_TEMPLATE_FILE, PROCESSOR_FILE, VIDEO_FILE)
LORA_RANKS: dict[str, str] = {}
HEAD = "decoder.lm_head.weight"
DEFAULT_TEMPLATE = "internvl2_5"
QK_NORM_EPS = 1e-6
"""transformers takes no other epsilon for the ViT's QK-norm."""

VISION_NAMES = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "norm_type": "layer_norm",
    "layer_norm_eps": 1e-6,
    "initializer_range": 0.02,
}
"""Keys that mean the same here and there, with the class's defaults."""

FIXED: dict[str, tuple[tuple[str, Any], ...]] = {
    "vision_config": (
        ("hidden_act", "gelu"),
        ("use_absolute_position_embeddings", True),
        ("use_mean_pooling", True),
        ("use_mask_token", False),
    ),
    "": (("projector_hidden_act", "gelu"), ("vision_feature_select_strategy", "default")),
}
"""Settings that every release has and that our model does not vary."""


def key_table(family: Family, folder: Path | None, keys: Collection[str]) -> KeyMap:
    """By the language model whose class the folder names, or the one that a new folder will name."""
    if folder is None:
        return transformers_table(text_kind(family.model.decoder))
    path = folder / CONFIG_FILE
    nested = require(read_object(path), "text_config", str(path))
    return transformers_table(kind_of(nested, f"{path}: text_config"), keys)


def read_config(folder: Path, tokenizer: Tokenizer, keys: Collection[str]) -> Reading:
    """The family that config.json and the processor's files describe; `keys` are the tensors in the files.

    Raises ValueError naming file, key and remedy.
    """
    path = folder / CONFIG_FILE
    config = read_object(path)
    for part, settings in FIXED.items():
        _refuse_others(config.get(part, {}) if part else config, settings, f"{path}: {part}".rstrip(": "))
    section: dict[str, Any] = config.get(SECTION) or {}
    known = catalogue_entry(name_of(folder, config, section))
    notes: list[str] = []
    processor = read_processor(folder)
    model = _read_model(config, path, processor, tokenizer, keys, notes)
    _note_tokens(config, path, model, tokenizer, notes)
    family = Family(
        name=name_of(folder, config, section),
        model=model,
        tiling=_read_tiling(model.tile_side, section, processor),
        template=section.get("template") or (known.template if known else DEFAULT_TEMPLATE),
        system_text=section.get("system_text"),
    )
    return Reading(with_known_label(family, section), tuple(notes))


def _refuse_others(config: Mapping[str, Any], settings: tuple[tuple[str, Any], ...], where: str) -> None:
    for key, value in settings:
        if config.get(key, value) != value:
            raise ValueError(
                f"{where}: {key} = {config[key]!r} is not supported; every release has {value!r}"
            )


def _read_model(
    config: dict[str, Any],
    path: Path,
    processor: Processor,
    tokenizer: Tokenizer,
    keys: Collection[str],
    notes: list[str],
) -> VLMConfig:
    layer = config.get("vision_feature_layer", -1)
    if not isinstance(layer, int):
        raise ValueError(f"{path}: vision_feature_layer = {layer}: only one layer can feed the connector")
    section = config.get(SECTION) or {}
    return VLMConfig(
        vision=_read_vision(require(config, "vision_config", str(path)), f"{path}: vision_config", section),
        decoder=_read_decoder(config, path, keys, notes),
        image_token_id=tokenizer.token_id(IMG_CONTEXT),
        select_layer=layer,
        downsample_ratio=config.get("downsample_ratio", 0.5),
        ps_version="v2",
        mean=processor.mean,
        std=processor.std,
    )


def _read_vision(config: dict[str, Any], where: str, section: Mapping[str, Any]) -> VisionConfig:
    fields = {key: config.get(key, default) for key, default in VISION_NAMES.items()}
    norm = bool(config.get("use_qk_norm", False))
    if norm and fields["layer_norm_eps"] != QK_NORM_EPS:
        raise ValueError(
            f"{where}: layer_norm_eps = {fields['layer_norm_eps']} with use_qk_norm: transformers normalises "
            f"query and key with {QK_NORM_EPS}, which this model cannot do apart; no release has another"
        )
    trained = {key: section[key] for key in ("drop_path_rate", "initializer_factor") if key in section}
    return VisionConfig(
        image_size=_square(config.get("image_size", 448), f"{where}.image_size"),
        patch_size=_square(config.get("patch_size", 14), f"{where}.patch_size"),
        qk_normalization=norm,
        qkv_bias=bool(config.get("attention_bias", False)),
        **fields | trained,
    )


def _square(value: int | list[int], where: str) -> int:
    sides = [value] if isinstance(value, int) else list(value)
    if len(set(sides)) != 1:
        raise ValueError(f"{where} = {value}: tiles and patches are square here")
    return sides[0]


def _read_decoder(
    config: dict[str, Any], path: Path, keys: Collection[str], notes: list[str]
) -> DecoderConfig:
    """The decoder; tied when a flag says so and no head is stored.

    Files on the hub hold both matrices and say nothing, although transformers 5 takes that for tied.
    """
    nested = require(config, "text_config", str(path))
    decoder = read_decoder(nested, f"{path}: text_config")
    head = transformers_table(decoder.architecture, keys).group(HEAD).stored[0]
    flags = {"tie_word_embeddings": config, "text_config.tie_word_embeddings": nested}
    said = [name for name, place in flags.items() if place.get("tie_word_embeddings")]
    if said and head in keys:
        notes.append(f"{path}: {said[0]} is true but {head} is stored: both matrices are used")
    tied = config.get("tie_word_embeddings", True) or bool(said)
    original = (config.get(SECTION) or {}).get("architecture") or decoder.architecture
    return decoder.model_copy(
        update={"tie_word_embeddings": bool(keys) and tied and head not in keys, "architecture": original}
    )


def _read_tiling(side: int, section: Mapping[str, Any], processor: Processor) -> Tiling:
    """Limits of the processor's files, what we wrote down otherwise, else transformers' defaults."""
    said = {"min_tiles": 1, "max_tiles": 12} | section.get("tiling", {}) | processor.limits
    return Tiling(tile_side=side, **said)


def _note_tokens(
    config: Mapping[str, Any], path: Path, model: VLMConfig, tokenizer: Tokenizer, notes: list[str]
) -> None:
    """Numbers that follow from the tokenizer and the ViT, and that released configs have wrong."""
    found = model.image_token_id
    if (said := config.get("image_token_id", found)) != found:
        notes.append(
            f"{path}: image_token_id = {said} but {IMG_CONTEXT} is token {found} of the tokenizer: "
            f"{found} is used"
        )
    if (length := config.get("image_seq_length", model.tokens_per_tile)) != model.tokens_per_tile:
        notes.append(
            f"{path}: image_seq_length = {length} but the ViT gives {model.tokens_per_tile} tokens a tile: "
            f"{model.tokens_per_tile} is used"
        )


def write_config(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """Write config.json, generation_config.json and the processor's files; save the tokenizer before.

    Raises ValueError for a model that transformers' class cannot compute.
    """
    write_json(folder / CONFIG_FILE, config_of(family, tokenizer))
    write_generation(folder, family, tokenizer)
    write_processor(folder, family, tokenizer)


def config_of(family: Family, tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of config.json; ValueError for a model that transformers' class cannot compute."""
    model = internvl(family)
    if model.ps_version != "v2":
        raise ValueError(
            f"ps_version = {model.ps_version!r}: transformers orders visual tokens as v2 does; models before "
            "1.5 stay in layout 'official' or 'tessera'"
        )
    ids = special_ids(family, tokenizer)
    return {
        "architectures": ["InternVLForConditionalGeneration"],
        "model_type": MODEL_TYPE,
        "vision_config": _vision_section(model.vision),
        "text_config": _text_section(model.decoder, ids),
        "image_token_id": model.image_token_id,
        "image_seq_length": model.tokens_per_tile,
        "downsample_ratio": model.downsample_ratio,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": model.select_layer,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": False,
        SECTION: kept_section(family),
    }


def _vision_section(vision: VisionConfig) -> dict[str, Any]:
    if vision.qk_normalization and vision.layer_norm_eps != QK_NORM_EPS:
        raise ValueError(
            f"vision.layer_norm_eps = {vision.layer_norm_eps} with QK-norm: transformers normalises query "
            f"and key with {QK_NORM_EPS}; save in layout 'official' or 'tessera'"
        )
    return {
        "architectures": ["InternVLVisionModel"],
        "model_type": "internvl_vision",
        "num_channels": 3,
        "image_size": [vision.image_size] * 2,
        "patch_size": [vision.patch_size] * 2,
        "use_qk_norm": vision.qk_normalization,
        "attention_bias": vision.qkv_bias,
        "layer_scale_init_value": vision.initializer_factor,
        **dict(FIXED["vision_config"]),
        **{name: getattr(vision, name) for name in VISION_NAMES},
    }


def text_kind(decoder: DecoderConfig) -> DecoderKind:
    """The class that stands for a decoder: InternLM2 and 3 are LLaMA here."""
    kind = published_kind(decoder)
    if kind == "internlm3" and decoder.attention_bias:
        return "qwen2"
    return "llama" if kind in ("internlm2", "internlm3") else kind


def _text_section(decoder: DecoderConfig, ids: dict[str, Any]) -> dict[str, Any]:
    """transformers 5 reads `rope_parameters`, 4 (and engines on it) `rope_theta` and `rope_scaling`."""
    section = write_decoder(decoder, text_kind(decoder), ids)
    rope = rope_parameters(decoder)
    if rope["rope_type"] not in (
        "default",
        "longrope",
    ):  # 4 asks for other keys of longrope, 5 prefers this one
        section["rope_scaling"] = {key: value for key, value in rope.items() if key != "rope_theta"}
    return section | {"rope_parameters": rope}
