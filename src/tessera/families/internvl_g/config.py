"""The pair's config.json: model_type `internvl`, vision_config and qllama_config (docs/facts/pair.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.families.architecture import StoredGrid
from tessera.families.decoders.config import read_decoder, write_decoder
from tessera.families.internvl.config.official import VISION_DEFAULTS
from tessera.families.internvl.preprocess import PIXELS_FILE, read_processor
from tessera.families.internvl_g.weights import TABLE
from tessera.families.keymap import KeyMap
from tessera.families.pair_texts import TextRules
from tessera.families.pairs import PairReading
from tessera.models.config import POSITIONS, DecoderConfig, VisionConfig
from tessera.models.pair.config import PairConfig
from tessera.runtime.json_file import Section, write_json

MODEL_TYPE, TEXT_PART = "internvl", "qllama_config"
CONFIG_FILE = "config.json"
FILES: tuple[str, ...] = (CONFIG_FILE, PIXELS_FILE)
LORA_RANKS: Mapping[str, str] = {"vision_model": "use_backbone_lora", "qllama": "use_qllama_lora"}
THETA = 1e4
"""Base of the rotation, a constant of the released code."""
TEXT_DEFAULTS: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "rms_norm_eps": 1e-6,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
"""What transformers' LlamaConfig takes for keys that a file leaves out."""
HEADS = ("clip_embed_dim", "attn_pool_num_heads", "num_query_token", "cross_attention_frequency")
SECTION = "tessera"
"""Our own words in the file: the name and how texts are written."""


def reads(config: Mapping[str, Any]) -> bool:
    """transformers' chat models share the `model_type`; they have no QLLaMA."""
    return config.get("model_type") == MODEL_TYPE and TEXT_PART in config


def key_table() -> KeyMap:
    """The one table."""
    return TABLE


def read_config(folder: Path, positions: tuple[int, ...] | None) -> PairReading:
    """The pair that config.json describes.

    `force_image_size` may stand beside a vision_config of another size; the files may hold the position
    embedding of either.
    """
    file = Section.of(folder / CONFIG_FILE).without_nulls("force_image_size")
    said = file.part(SECTION)
    vision = _vision(file.section("vision_config"))
    side = file.whole("force_image_size", vision.image_size)
    wanted = file.build(VisionConfig, **vision.model_dump() | {"image_size": side})
    grid, notes = _stored_grid(vision, wanted, positions)
    text = Section(file.place(TEXT_PART), TEXT_DEFAULTS | file.section(TEXT_PART).without_nulls().content)
    pixels = read_processor(folder)
    config = file.build(
        PairConfig,
        vision=wanted,
        qllama=_text(text),
        **{name: file.whole(name) for name in HEADS if name in file},
        label_smoothing=file.number("label_smoothing", 0.0),
        bos_token_id=text.whole("bos_token_id"),
        eos_token_id=text.whole("eos_token_id"),
        mean=pixels.mean,
        std=pixels.std,
    )
    rules = said.build(TextRules, **said.part("texts").content)
    return PairReading(said.text("name", _name(folder)), config, rules, grid, notes)


def _vision(section: Section) -> VisionConfig:
    """InternViT-6B by default; unknown keys are inert leftovers in released files."""
    if section.text("hidden_act", "gelu") != "gelu":
        raise section.wrong("hidden_act", "InternViT uses 'gelu'")
    known = {key: section.content[key] for key in VisionConfig.model_fields if key in section}
    return section.build(VisionConfig, **VISION_DEFAULTS | known)


def _text(section: Section) -> DecoderConfig:
    decoder = read_decoder(section)
    if decoder.architecture != "llama" or decoder.attention_bias:
        raise section.wrong("model_type", "QLLaMA is a LLaMA without biases")
    if decoder.rope_theta != THETA or decoder.rope_scaling is not None:
        key = "rope_theta" if decoder.rope_theta != THETA else "rope_scaling"
        raise section.wrong(key, f"QLLaMA turns positions by base {THETA:g}, unscaled; take the key out")
    return decoder


def _stored_grid(
    stored: VisionConfig, wanted: VisionConfig, positions: tuple[int, ...] | None
) -> tuple[StoredGrid | None, tuple[str, ...]]:
    """How the position embedding is resized, None where the files hold it in the wanted size."""
    if stored.grid == wanted.grid or (positions is not None and positions[1:2] == (1 + wanted.grid**2,)):
        return None, ()
    note = (
        f"force_image_size = {wanted.image_size} but the files hold positions of {stored.image_size} px: "
        "the position embedding is resized"
    )
    return StoredGrid(POSITIONS, stored.grid, wanted.grid), (note,)


def _name(folder: Path) -> str:
    """The folder's name, or the repository's in the hub's cache."""
    place = folder.absolute()
    in_cache = place.parent.name == "snapshots"
    return place.parent.parent.name.rpartition("--")[2] if in_cache else place.name


def write_config(folder: Path, reading: PairReading, tokenizer: Tokenizer) -> None:
    """config.json as internvl_g reads it, and the pixels' file."""
    config = reading.config
    ids = {"bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id, "pad_token_id": 0}
    text = write_decoder(config.qllama, "llama", ids)
    content = {
        "_name_or_path": reading.name,
        "architectures": ["InternVLModel"],
        "model_type": MODEL_TYPE,
        "vision_config": {
            **{"model_type": "intern_vit_6b", "num_channels": 3, "hidden_act": "gelu"},
            **config.vision.model_dump(mode="json"),
        },
        TEXT_PART: text | {name: getattr(config, name) for name in HEADS[2:]},
        **config.model_dump(include={*HEADS, "label_smoothing"}),
        "force_image_size": None,
        "use_backbone_lora": 0,
        "use_qllama_lora": 0,
        SECTION: {"name": reading.name, "texts": reading.rules.model_dump()},
    }
    write_json(folder / CONFIG_FILE, content)
    side = config.vision.image_size
    pixels = {"image_processor_type": "CLIPImageProcessor", "size": side, "crop_size": side, "resample": 3}
    statistics = {"image_mean": list(config.mean), "image_std": list(config.std)}
    write_json(folder / PIXELS_FILE, pixels | statistics)
