"""transformers' layout, `InternVLForConditionalGeneration` (docs/facts/key_names.md).

Its config has no words for template, tiles and how frames are named: they stand in our own section, else in
the catalogue, else the rules of 2.5 and 3 hold, the only generations that were released in this layout.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import IMG_CONTEXT
from tessera.families.architecture import EncoderReading, Reading
from tessera.families.decoders.config import published_kind, write_decoder
from tessera.families.decoders.rope import rope_parameters
from tessera.families.family import Family
from tessera.families.internvl.config.section import CONFIG_FILE, TIED, ConfigFile, internvl, kept_section
from tessera.families.internvl.preprocess import WRITTEN, read_processor, write_processor
from tessera.families.internvl.prompt import GENERATION_FILE, special_ids, write_generation
from tessera.families.internvl.weights import transformers_table
from tessera.families.keymap import KeyMap
from tessera.imaging.grid import Tiling
from tessera.models.config import DecoderConfig, DecoderKind, VisionConfig, VLMConfig
from tessera.runtime.json_file import Section, write_json

MODEL_TYPE, ENCODER_TYPE = "internvl", "internvl_vision"
FILES: tuple[str, ...] = (CONFIG_FILE, GENERATION_FILE, *WRITTEN)
LORA_RANKS: Mapping[str, str] = {}
DEFAULT_TEMPLATE = "internvl2_5"
QK_NORM_EPS = 1e-6
"""transformers takes no other epsilon for the ViT's QK-norm."""

VISION_NAMES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "norm_type",
    "layer_norm_eps",
    "initializer_range",
)
"""Keys that mean the same here and there, and whose defaults agree."""

FIXED: dict[str, dict[str, Any]] = {
    "vision_config": {
        "hidden_act": "gelu",
        "use_absolute_position_embeddings": True,
        "use_mean_pooling": True,
        "use_mask_token": False,
    },
    "": {"projector_hidden_act": "gelu", "vision_feature_select_strategy": "default"},
}
"""Settings that every release has and that our model does not vary."""


def key_table(family: Family) -> KeyMap:
    """By the language model whose class a new folder names."""
    decoder = family.model.decoder
    return transformers_table(text_kind(decoder), experts=decoder.expert_count)


def reads(config: Mapping[str, Any]) -> bool:
    """Every one of its `model_type` that no other family takes."""
    return config.get("model_type") == MODEL_TYPE


def read_config(folder: Path, tokenizer: Tokenizer, keys: Collection[str]) -> Reading:
    """The family that config.json and the processor's files describe."""
    file = ConfigFile(folder, tokenizer, keys)
    config, section = file.content, file.section.without_nulls("system_text")
    for part, settings in FIXED.items():
        _refuse_others(config.part(part) if part else config, settings)
    processor = read_processor(folder)
    vision = _read_vision(config.section("vision_config"), file.section)
    decoder, keymap = _read_decoder(file)
    model = config.build(
        VLMConfig,
        vision=vision,
        decoder=decoder,
        image_token_id=tokenizer.token_id(IMG_CONTEXT),
        select_layer=config.whole("vision_feature_layer", -1),
        downsample_ratio=config.number("downsample_ratio", 0.5),
        ps_version="v2",
        mean=processor.mean,
        std=processor.std,
    )
    _note_tokens(file, model)
    # Limits of the processor's files, what we wrote down otherwise, else transformers' defaults.
    tiling = {"min_tiles": 1, "max_tiles": 12} | section.part("tiling").content | processor.limits
    default = file.known.template if file.known else DEFAULT_TEMPLATE
    return file.reading(
        keymap,
        model=model,
        tiling=section.build(Tiling, **tiling | {"tile_side": model.tile_side}),
        template=section.text("template", default),
        system_text=section.text("system_text") if "system_text" in section else None,
    )


def _refuse_others(config: Section, settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if key in config and config.content[key] != value:
            raise config.wrong(key, f"this is not supported; every release has {value!r}")


def read_encoder(folder: Path) -> EncoderReading:
    """InternViT alone, or the one of a model."""
    pixels, content = read_processor(folder), Section.of(folder / CONFIG_FILE)
    config = content.section("vision_config") if "vision_config" in content else content
    _refuse_others(config, FIXED["vision_config"])
    return EncoderReading(_read_vision(config, Section(config.where)), pixels.mean, pixels.std)


def _read_vision(config: Section, ours: Section) -> VisionConfig:
    """The nested config, and what our own section says beside it."""
    vision = config.build(
        VisionConfig,
        image_size=_square(config, "image_size", 448),
        patch_size=_square(config, "patch_size", 14),
        qk_normalization=config.flag("use_qk_norm"),
        qkv_bias=config.flag("attention_bias"),
        **{key: config.content[key] for key in VISION_NAMES if key in config},
        **{key: ours.number(key) for key in ("drop_path_rate", "initializer_factor") if key in ours},
    )
    if vision.qk_normalization and vision.layer_norm_eps != QK_NORM_EPS:
        raise config.wrong(
            "layer_norm_eps",
            f"with use_qk_norm transformers normalises query and key with {QK_NORM_EPS}, which this model "
            "cannot do apart; no release has another",
        )
    return vision


def _square(config: Section, key: str, default: int) -> int:
    if not isinstance(config.content.get(key), list):
        return config.whole(key, default)
    sides = set(config.numbers(key))
    if len(sides) != 1:
        raise config.wrong(key, "tiles and patches are square here")
    return int(sides.pop())


def _read_decoder(file: ConfigFile) -> tuple[DecoderConfig, KeyMap]:
    """Tied when a flag says so and no head is stored.

    Files on the hub hold both matrices and say nothing, although transformers 5 takes that for tied.
    """
    nested = file.content.section("text_config").flag(TIED)
    said = {TIED: file.content.flag(TIED), f"text_config.{TIED}": nested}
    tied = bool(file.keys) and (file.content.flag(TIED, True) or nested)

    def table(decoder: DecoderConfig) -> KeyMap:
        return transformers_table(decoder.architecture, file.keys, decoder.expert_count)

    return file.decoder("text_config", table, said, tied)


def _note_tokens(file: ConfigFile, model: VLMConfig) -> None:
    """Numbers that follow from the tokenizer and the ViT, and that released configs have wrong."""
    token, length = model.image_token_id, model.tokens_per_tile
    for key, found, reason in (
        ("image_token_id", token, f"{IMG_CONTEXT} is token {token} of the tokenizer"),
        ("image_seq_length", length, f"the ViT gives {length} tokens a tile"),
    ):
        if (said := file.content.whole(key, found)) != found:
            file.note(f"{key} = {said} but {reason}: {found} is used")


def write_config(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """Write config.json, generation_config.json and the processor's files; save the tokenizer before."""
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
    if model.resolution is not None:
        raise ValueError(
            "resolution: transformers' class has no resolution router; save in layout 'official' or 'tessera'"
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
        "vision_feature_layer": model.select_layer,
        **FIXED[""],
        "tie_word_embeddings": False,
        **kept_section(family),
    }


def _vision_section(vision: VisionConfig) -> dict[str, Any]:
    if vision.qk_normalization and vision.layer_norm_eps != QK_NORM_EPS:
        raise ValueError(
            f"vision.layer_norm_eps = {vision.layer_norm_eps} with QK-norm: transformers normalises query "
            f"and key with {QK_NORM_EPS}; save in layout 'official' or 'tessera'"
        )
    return {
        "architectures": ["InternVLVisionModel"],
        "model_type": ENCODER_TYPE,
        "num_channels": 3,
        "image_size": [vision.image_size] * 2,
        "patch_size": [vision.patch_size] * 2,
        "use_qk_norm": vision.qk_normalization,
        "attention_bias": vision.qkv_bias,
        "layer_scale_init_value": vision.initializer_factor,
        **FIXED["vision_config"],
        **vision.model_dump(include=set(VISION_NAMES)),
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
    # 4 asks for other keys of longrope, 5 prefers this one.
    if rope["rope_type"] not in ("default", "longrope"):
        section["rope_scaling"] = {key: value for key, value in rope.items() if key != "rope_theta"}
    return section | {"rope_parameters": rope}
