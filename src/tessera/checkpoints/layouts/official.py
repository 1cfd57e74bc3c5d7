"""The OpenGVLab layout: config.json with nested vision_config and llm_config (facts 1.1, 1.2, 2.1).

Read and written for InternViT with a Qwen2 or LLaMA style decoder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import IMG_CONTEXT
from tessera.checkpoints.layouts.read_json import read_object, require
from tessera.families.family import Family
from tessera.imaging.grid import Tiling
from tessera.models.config import IMAGENET_MEAN, IMAGENET_STD, DecoderConfig, VisionConfig, VLMConfig

CONFIG_FILE = "config.json"
PIXELS_FILE = "preprocessor_config.json"
MODEL_TYPE = "internvl_chat"
ATTENTION_BIAS = {"Qwen2ForCausalLM": True, "LlamaForCausalLM": False}
"""Decoders that can be opened, and whether their query, key and value have biases by default."""
INERT_SCALING = ("default", "dynamic")
"""Rope scalings that change nothing within max_position_embeddings."""

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


def describes(folder: Path) -> bool:
    """Whether the folder has a config.json (of this or of an unknown architecture)."""
    return (folder / CONFIG_FILE).is_file()


def read_config(folder: Path, tokenizer: Tokenizer, head_stored: bool) -> Family:
    """The family that config.json describes; `head_stored` says whether the files hold an output head.

    Raises ValueError naming file, key and remedy.
    """
    path = folder / CONFIG_FILE
    config = read_object(path)
    if config.get("model_type") != MODEL_TYPE:
        raise ValueError(
            f"{path}: model_type = {config.get('model_type')!r} is unknown, this layout is {MODEL_TYPE!r}; "
            "give a checkpoint in the original OpenGVLab or in Tessera's layout"
        )
    for key in ("use_llm_lora", "use_backbone_lora"):
        if config.get(key):
            raise ValueError(f"{path}: {key} = {config[key]}: merge the LoRA matrices into the weights first")
    if config.get("pad2square"):
        raise ValueError(f"{path}: pad2square = true is not supported; no released model uses it")
    model = _read_model(config, path, tokenizer, head_stored, folder)
    size = config.get("force_image_size") or model.vision.image_size
    if size != model.vision.image_size:
        raise ValueError(
            f"{path}: force_image_size = {size} but vision_config.image_size = {model.vision.image_size}: "
            "resize the position embedding first and make them equal"
        )
    return Family(
        name=Path(str(config.get("_name_or_path") or folder.name)).name,
        model=model,
        tiling=_read_tiling(config, size),
        template=require(config, "template", str(path)),
        system_text=config.get("system_message"),
    )


def _read_model(
    config: dict[str, Any], path: Path, tokenizer: Tokenizer, head_stored: bool, folder: Path
) -> VLMConfig:
    mean, std = _read_pixels(folder)
    return VLMConfig(
        vision=read_vision(require(config, "vision_config", str(path)), f"{path}: vision_config"),
        decoder=read_decoder(require(config, "llm_config", str(path)), f"{path}: llm_config", head_stored),
        image_token_id=tokenizer.token_id(IMG_CONTEXT),
        select_layer=config.get("select_layer", -1),
        downsample_ratio=config.get("downsample_ratio", 0.5),
        ps_version=config.get("ps_version", "v1"),
        mean=mean,
        std=std,
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


def read_decoder(config: dict[str, Any], where: str, head_stored: bool) -> DecoderConfig:
    """A Qwen2 or LLaMA config as transformers writes it, version 4 or 5."""
    architecture = (config.get("architectures") or ["none"])[0]
    if architecture not in ATTENTION_BIAS:
        raise ValueError(
            f"{where}.architectures = {architecture!r} cannot be opened yet; "
            f"this version reads {', '.join(ATTENTION_BIAS)}"
        )
    _refuse(config, where)
    rope = config.get("rope_parameters") or {}
    heads, width = require(config, "num_attention_heads", where), require(config, "hidden_size", where)
    head_dim = config.get("head_dim")
    return DecoderConfig(
        vocab_size=require(config, "vocab_size", where),
        hidden_size=width,
        intermediate_size=require(config, "intermediate_size", where),
        num_hidden_layers=require(config, "num_hidden_layers", where),
        num_attention_heads=heads,
        num_key_value_heads=config.get("num_key_value_heads") or heads,
        head_dim=None if head_dim == width // heads else head_dim,
        rms_norm_eps=config.get("rms_norm_eps", 1e-6),
        rope_theta=rope.get("rope_theta", config.get("rope_theta", 1e4)),
        attention_bias=config.get("attention_bias", ATTENTION_BIAS[architecture]),
        tie_word_embeddings=bool(config.get("tie_word_embeddings", False)) and not head_stored,
        max_position_embeddings=config.get("max_position_embeddings", 32768),
    )


def _refuse(config: dict[str, Any], where: str) -> None:
    """Settings that would change the numbers and that the decoder does not have."""
    if config.get("hidden_act", "silu") != "silu":
        raise ValueError(f"{where}.hidden_act = {config['hidden_act']!r}: the decoder has only 'silu'")
    if config.get("use_sliding_window"):
        raise ValueError(f"{where}.use_sliding_window = true: sliding windows are not supported")
    if config.get("mlp_bias"):
        raise ValueError(f"{where}.mlp_bias = true: biases in the feed-forward part are not supported")
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind not in INERT_SCALING:
        raise ValueError(
            f"{where}.rope_scaling is {kind!r}; this version reads {' and '.join(INERT_SCALING)}"
        )


def _read_pixels(folder: Path) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    path = folder / PIXELS_FILE
    content = read_object(path) if path.is_file() else {}
    mean = tuple(content.get("image_mean", IMAGENET_MEAN))
    std = tuple(content.get("image_std", IMAGENET_STD))
    if len(mean) != 3 or len(std) != 3:
        raise ValueError(f"{path}: image_mean {mean} and image_std {std} need three numbers each")
    return mean, std


def write_config(folder: Path, family: Family) -> None:
    """Write config.json and preprocessor_config.json as other engines read them."""
    model, tiling = family.model, family.tiling
    content = {
        "_name_or_path": family.name,
        "architectures": ["InternVLChatModel"],
        "model_type": MODEL_TYPE,
        "vision_config": _vision_section(model.vision),
        "llm_config": _decoder_section(model.decoder),
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
        "system_message": family.system_text,
    }
    _write(folder / CONFIG_FILE, content)
    side = model.vision.image_size
    pixels = {"image_processor_type": "CLIPImageProcessor", "size": side, "crop_size": side, "resample": 3}
    pixels |= {"do_resize": True, "do_center_crop": True, "do_normalize": True}
    _write(folder / PIXELS_FILE, pixels | {"image_mean": list(model.mean), "image_std": list(model.std)})


def _vision_section(vision: VisionConfig) -> dict[str, Any]:
    section = {"model_type": "intern_vit_6b", "architectures": ["InternVisionModel"]}
    return section | {"num_channels": 3, "hidden_act": "gelu"} | vision.model_dump(mode="json")


def _decoder_section(decoder: DecoderConfig) -> dict[str, Any]:
    """Qwen2 and LLaMA differ only in the biases; the head is always stored, as the official code expects."""
    qwen = decoder.attention_bias
    section: dict[str, Any] = {
        "architectures": ["Qwen2ForCausalLM" if qwen else "LlamaForCausalLM"],
        "model_type": "qwen2" if qwen else "llama",
        "hidden_act": "silu",
        "use_sliding_window": False,
    }
    numbers = decoder.model_dump(mode="json", exclude={"head_dim"}) | {"head_dim": decoder.head_width}
    return section | numbers | {"tie_word_embeddings": False}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
