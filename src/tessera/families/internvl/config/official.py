"""The OpenGVLab layout: config.json with nested vision_config and llm_config (docs/facts/architecture.md and
docs/facts/key_names.md).

One class name stands for chat and for reward models (VisualPRM): their tensors are the same.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import IMG_CONTEXT
from tessera.families.architecture import EncoderReading, Reading, StoredGrid
from tessera.families.decoders.config import published_kind, write_decoder
from tessera.families.decoders.rope import rope_scaling
from tessera.families.family import Family
from tessera.families.internvl.config.section import CONFIG_FILE, TIED, ConfigFile, internvl, kept_section
from tessera.families.internvl.preprocess import PIXELS_FILE, read_processor
from tessera.families.internvl.prompt import GENERATION_FILE, special_ids, write_generation
from tessera.families.internvl.weights import official_table
from tessera.families.keymap import KeyMap
from tessera.imaging.grid import Tiling
from tessera.models.config import POSITIONS, DecoderConfig, VisionConfig, VLMConfig
from tessera.models.resolution.config import ResolutionConfig
from tessera.runtime.json_file import Section, write_json

ROUTER = "gating."
"""What the router's keys of a Flash model begin with."""
MODEL_TYPE, ENCODER_TYPE = "internvl_chat", "intern_vit_6b"
FILES: tuple[str, ...] = (CONFIG_FILE, PIXELS_FILE, GENERATION_FILE)
LORA_RANKS: Mapping[str, str] = {"language_model": "use_llm_lora", "vision_model": "use_backbone_lora"}

VISION_DEFAULTS: dict[str, Any] = {
    "image_size": 224,
    "hidden_size": 3200,
    "num_hidden_layers": 48,
    "num_attention_heads": 25,
    "intermediate_size": 12800,
    "norm_type": "rms_norm",
    "qk_normalization": True,
    "qkv_bias": False,
}
"""What the official class takes for keys that a file leaves out, where `VisionConfig` takes another."""


def key_table(family: Family) -> KeyMap:
    """By the language model whose class a new folder names."""
    decoder = family.model.decoder
    return official_table(published_kind(decoder), decoder.head_width, decoder.expert_count)


def reads(config: Mapping[str, Any]) -> bool:
    """Every one of its `model_type` that no other family takes."""
    return config.get("model_type") == MODEL_TYPE


def read_config(folder: Path, tokenizer: Tokenizer, keys: Collection[str]) -> Reading:
    """The family that config.json describes."""
    file = ConfigFile(folder, tokenizer, keys)
    return read_as(file, folder, VLMConfig, read_vision)


def read_as(
    file: ConfigFile,
    folder: Path,
    model_class: type[VLMConfig],
    vision_of: Callable[[Section], VisionConfig],
    **said_of_family: Any,
) -> Reading:
    """The same for a family with another vision part, read by `vision_of`; the weights' names are these."""
    config = file.content
    if config.flag("pad2square"):
        raise config.wrong("pad2square", "this is not supported; no released model uses it")
    vision, stored_grid = _read_vision(file, vision_of)
    tied = config.section("llm_config").flag(TIED)

    def table(decoder: DecoderConfig) -> KeyMap:
        return official_table(decoder.architecture, decoder.head_width, decoder.expert_count, file.keys)

    decoder, keymap = file.decoder("llm_config", table, {f"llm_config.{TIED}": tied}, tied)
    pixels = read_processor(folder)
    model = config.build(
        model_class,
        vision=vision,
        decoder=decoder,
        image_token_id=file.tokenizer.token_id(IMG_CONTEXT),
        select_layer=config.whole("select_layer", -1),
        downsample_ratio=config.number("downsample_ratio", 0.5),
        ps_version=config.text("ps_version", "v1"),
        resolution=_read_resolution(file),
        mean=pixels.mean,
        std=pixels.std,
    )
    template = _template(file)
    said = config.without_nulls("system_message")
    system_text = said.text("system_message") if "system_message" in said else None
    tiling = _read_tiling(config, model.tile_side)
    fields = {"model": model, "tiling": tiling, "template": template, "system_text": system_text}
    return file.reading(keymap, stored_grid, **fields, **said_of_family)


def _read_resolution(file: ConfigFile) -> ResolutionConfig | None:
    """The router of a Flash model; None for others."""
    config = file.content
    flash, stored = config.flag("flash_mode"), any(key.startswith(ROUTER) for key in file.keys)
    if not flash and not stored:
        return None
    if not flash and "flash_mode" in config:
        file.note("flash_mode is false but the files hold a router: it is used")
    names = ("relative_threshold", "absolute_threshold")
    said = {name: config.number(f"flash_{name}") for name in names if f"flash_{name}" in config}
    return config.build(ResolutionConfig, {name: f"flash_{name}" for name in names}, **said)


def _template(file: ConfigFile) -> str:
    template = file.content.text("template", "")
    if not template:
        if file.known is None:
            raise file.content.wrong("template", "the name of the conversation template is needed here")
        template = file.known.template
        file.note(f"template is missing: {template!r} of {file.known.name} is used")
    if template not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise file.content.wrong("template", f"this template is unknown; choose one of {known}")
    if file.content.content.get("system_message", "") is None:
        file.note(f"system_message is null: the sentence of template {template!r} is used")
    return template


def _read_tiling(config: Section, size: int) -> Tiling:
    return config.build(
        Tiling,
        tile_side=size,
        min_tiles=config.whole("min_dynamic_patch", 1),
        max_tiles=config.whole("max_dynamic_patch", 6),
        thumbnail=config.flag("use_thumbnail"),
        dynamic=config.flag("dynamic_image_size"),
    )


def read_encoder(folder: Path) -> EncoderReading:
    """A released InternViT alone, or the one of a model."""
    pixels, content = read_processor(folder), Section.of(folder / CONFIG_FILE)
    nested = content.section("vision_config") if "vision_config" in content else content
    stored = read_vision(nested)
    size = content.without_nulls("force_image_size").whole("force_image_size", stored.image_size)
    vision = content.build(VisionConfig, **stored.model_dump() | {"image_size": size})
    return EncoderReading(vision, pixels.mean, pixels.std, stored.grid)


def read_vision(config: Section) -> VisionConfig:
    """InternViT; unknown keys are inert leftovers in released files and are not read."""
    if config.text("hidden_act", "gelu") != "gelu":
        raise config.wrong("hidden_act", "InternViT uses 'gelu'")
    said = {key: config.content[key] for key in VisionConfig.model_fields if key in config}
    return config.build(VisionConfig, **VISION_DEFAULTS | said)


def _read_vision(
    file: ConfigFile, vision_of: Callable[[Section], VisionConfig]
) -> tuple[VisionConfig, StoredGrid | None]:
    """InternViT, and the grid of the stored position embedding where it is another."""
    stored = vision_of(file.content.section("vision_config"))
    size = file.content.whole("force_image_size", stored.image_size)
    if size == stored.image_size:
        return stored, None
    file.note(
        f"force_image_size = {size} but vision_config.image_size = {stored.image_size}: "
        "the position embedding is resized"
    )
    vision = file.content.build(type(stored), **stored.model_dump() | {"image_size": size})
    return vision, StoredGrid(POSITIONS, stored.grid, vision.grid)


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
        "force_image_size": model.vision.image_size,
        **model.model_dump(include={"select_layer", "downsample_ratio", "ps_version"}),
        "template": family.template,
        "dynamic_image_size": tiling.dynamic,
        "use_thumbnail": tiling.thumbnail,
        "min_dynamic_patch": tiling.min_tiles,
        "max_dynamic_patch": tiling.max_tiles,
        "pad2square": False,
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "tie_word_embeddings": False,
        **_resolution_section(model.resolution),
        **kept_section(family),
    }
    if family.system_text is not None:
        content["system_message"] = family.system_text
    return content


def _resolution_section(resolution: ResolutionConfig | None) -> dict[str, Any]:
    if resolution is None:
        return {}
    thresholds = resolution.model_dump(include={"relative_threshold", "absolute_threshold"})
    return {"flash_mode": True} | {f"flash_{name}": value for name, value in thresholds.items()}


def _vision_section(vision: VisionConfig) -> dict[str, Any]:
    section = {"model_type": ENCODER_TYPE, "architectures": ["InternVisionModel"]}
    return section | {"num_channels": 3, "hidden_act": "gelu"} | vision.model_dump(mode="json")


def _decoder_section(decoder: DecoderConfig, ids: dict[str, Any]) -> dict[str, Any]:
    """The head is always stored apart, as the official code expects."""
    section = write_decoder(decoder, published_kind(decoder), ids)
    scaling = rope_scaling(decoder)
    return section if scaling is None else section | {"rope_scaling": scaling}
