"""LLaVA's layout: config.json of a LLaMA with keys that begin with `mm_` (docs/facts/llava.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.families.architecture import Reading, StoredGrid, StoredKeys
from tessera.families.decoders.config import published_kind, read_decoder, write_decoder
from tessera.families.decoders.rope import rope_scaling
from tessera.families.family import Family
from tessera.families.internvl.config.section import CONFIG_FILE, KEPT, SECTION, TIED, ConfigFile
from tessera.families.internvl.prompt import GENERATION_FILE, special_ids, write_generation
from tessera.families.keymap import KeyMap
from tessera.families.llava.config import FILL, PROJECTOR, PROJECTORS, LlavaConfig
from tessera.families.llava.prompt import TOKENS, VICUNA
from tessera.families.llava.tower import square_side, tower_apart, tower_config
from tessera.families.llava.weights import TOWER, official_table
from tessera.imaging.grid import Tiling
from tessera.models.config import POSITIONS, DecoderConfig, VisionConfig
from tessera.runtime.json_file import Section, write_json

MODEL_TYPE = "llava_llama"
ALSO = ("llava",)
"""Of LLaVA before its name was taken by transformers."""
FILES: tuple[str, ...] = (CONFIG_FILE, GENERATION_FILE)
LORA_RANKS: Mapping[str, str] = {}
QUERIES = "it joins QLLaMA's queries to the patches, and no such weights were released"
PADDED = "pad"
CROPPED = "square"
"""`image_aspect_ratio` of a model whose pictures are cropped: LLaVA's default."""


def reads(config: Mapping[str, Any]) -> bool:
    """transformers' own LLaVA shares the `model_type` `llava`, and has no tower."""
    return config.get("model_type") in (MODEL_TYPE, *ALSO) and "mm_vision_tower" in config


def key_table(family: Family) -> KeyMap:
    """The one table."""
    return official_table()


def read_config(folder: Path, tokenizer: Tokenizer, keys: StoredKeys) -> Reading:
    """The member that config.json describes."""
    file = ConfigFile(folder, tokenizer, keys)
    config, name = file.content, file.content.text("mm_vision_tower")
    _refuse(config)
    stored = tower_config(config, folder, keys)
    side = file.section.whole("image_size", square_side(name))
    vision = config.build(VisionConfig, **stored.model_dump() | {"image_size": side})
    grid = None if stored.grid == vision.grid else StoredGrid(POSITIONS, stored.grid, vision.grid)
    if grid:
        file.note(
            f"the tower was trained at {stored.image_size} px: its position embedding is resized to {side}"
        )
    model = config.build(
        LlavaConfig,
        vision=vision,
        decoder=_read_decoder(file),
        image_token_id=tokenizer.token_id(TOKENS.context),
        select_layer=config.whole("mm_vision_select_layer", -1),
        projector=config.text("mm_projector_type", "linear"),
        vision_tower=name,
    )
    template = file.section.text("template", VICUNA.name)
    fields = {"architecture": "llava", "model": model, "tiling": _tiling(config, side), "template": template}
    reading = file.reading(official_table(), grid, **fields, system_text=_system_text(file.section))
    if not keys or any(key.startswith(TOWER) for key in keys):
        return reading
    return replace(reading, apart=tower_apart(name, folder))


def _system_text(section: Section) -> str | None:
    said = section.without_nulls()
    return said.text("system_text") if "system_text" in said else None


def _refuse(config: Section) -> None:
    """Settings of LLaVA that no released member has and that would change what the model sees."""
    if (projector := config.text("mm_projector_type", "linear")) == "two_mlp":
        raise config.wrong("mm_projector_type", f"{QUERIES}; this version reads {PROJECTORS}")
    if projector != "linear" and not PROJECTOR.fullmatch(projector):
        raise config.wrong("mm_projector_type", f"this version reads {PROJECTORS}")
    if config.text("mm_vision_select_feature", "patch") != "patch":
        raise config.wrong(
            "mm_vision_select_feature", "only 'patch' is supported: no release keeps the class token"
        )
    if config.flag("mm_use_im_start_end"):
        raise config.wrong(
            "mm_use_im_start_end", "tokens around a picture are not supported; no release has them"
        )
    known = (PADDED, CROPPED)
    if config.without_nulls().text("image_aspect_ratio", CROPPED) not in known:
        raise config.wrong("image_aspect_ratio", f"this version reads {' and '.join(known)}")


def _read_decoder(file: ConfigFile) -> DecoderConfig:
    """The LLaMA whose config this is, under the name of its own class."""
    config = file.content
    own = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    decoder = read_decoder(Section(config.where, config.content | own))
    tied = config.flag(TIED) and "lm_head.weight" not in file.keys
    return file.section.build(DecoderConfig, **decoder.model_dump() | {TIED: tied})


def _tiling(config: Section, side: int) -> Tiling:
    padded = config.without_nulls().text("image_aspect_ratio", CROPPED) == PADDED
    shape = {"square": "pad", "fill": FILL} if padded else {"square": "crop"}
    one = {"tile_side": side, "max_tiles": 1, "thumbnail": False, "dynamic": False}
    return config.build(Tiling, **one, **shape)


def write_config(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """Write config.json and generation_config.json as LLaVA's code reads them."""
    write_json(folder / CONFIG_FILE, config_of(family, tokenizer))
    write_generation(folder, family, tokenizer)


def config_of(family: Family, tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of config.json; ValueError for a decoder that is no LLaMA."""
    model = family.model
    assert isinstance(model, LlavaConfig)
    if (kind := published_kind(model.decoder)) != "llama":
        raise ValueError(f"decoder.architecture = {kind!r}: LLaVA's class is a LLaMA; use another layout")
    llama = write_decoder(model.decoder, "llama", special_ids(family, tokenizer))
    if scaling := rope_scaling(model.decoder):
        llama["rope_scaling"] = scaling
    if family.tiling.dynamic or family.tiling.square == "squeeze":
        raise ValueError("tiling: LLaVA's code pads or crops a picture to one square; use another layout")
    padded = family.tiling.square == "pad"
    return llama | {
        "_name_or_path": family.name,
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": MODEL_TYPE,
        "use_mm_proj": True,
        "mm_vision_tower": model.vision_tower,
        "mm_hidden_size": model.vision.hidden_size,
        "mm_vision_select_layer": model.select_layer,
        "mm_vision_select_feature": "patch",
        "mm_projector_type": model.projector,
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "image_aspect_ratio": PADDED if padded else CROPPED,
        SECTION: {
            **family.model_dump(mode="json", include={"name", "template", "system_text", *KEPT}),
            "image_size": model.vision.image_size,
            "vision": model.vision.model_dump(mode="json"),
        },
    }
