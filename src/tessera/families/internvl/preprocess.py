"""The processor's files of transformers' layout: pixels, tiles, chat template, names of the picture tokens.

transformers 4 writes preprocessor_config.json; 5 keeps everything in processor_config.json. Both are read,
both are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.sentencepiece_json import as_json
from tessera.chat.tokens import IMG_CONTEXT, IMG_END, IMG_START
from tessera.families.family import Family
from tessera.families.internvl.prompt import CHAT_TEMPLATE_FILE, VIDEO_PLACEHOLDER, chat_template
from tessera.models.config import IMAGENET_MEAN, IMAGENET_STD
from tessera.runtime.json_file import read_object, write_json

Triple = tuple[float, float, float]

PIXELS_FILE = "preprocessor_config.json"
VIDEO_FILE = "video_preprocessor_config.json"
PROCESSOR_FILE = "processor_config.json"
TOKENIZER_FILE = "tokenizer_config.json"
JSON_FILE = "tokenizer.json"
NAMED_TOKENS = {
    "start_image_token": IMG_START,
    "end_image_token": IMG_END,
    "context_image_token": IMG_CONTEXT,
    "video_token": VIDEO_PLACEHOLDER,
}
"""Attributes that transformers' processor asks of the tokenizer."""


@dataclass(frozen=True)
class Processor:
    """What the files say about pictures; `crop_to_patches` is left out, the processor overrides it."""

    mean: Triple
    std: Triple
    limits: dict[str, int]
    """`min_tiles` and `max_tiles`, as far as a file says them."""


def read_processor(folder: Path) -> Processor:
    """Pixel statistics, ImageNet's where no file says them, and tile limits."""
    path, inside = folder / PIXELS_FILE, None
    if not path.is_file():
        path, inside = folder / PROCESSOR_FILE, "image_processor"
    content = read_object(path) if path.is_file() else {}
    content = (content.get(inside) or {}) if inside else content
    mean, std = pixel_statistics(path, inside)
    named = {"min_tiles": content.get("min_patches"), "max_tiles": content.get("max_patches")}
    return Processor(mean, std, {name: limit for name, limit in named.items() if limit})


def write_processor(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """Write the processor's files beside a saved tokenizer, and name the picture tokens in its config."""
    pixels = _pixels(family)
    image = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "crop_to_patches": family.tiling.dynamic,
        "min_patches": family.tiling.min_tiles,
        "max_patches": family.tiling.max_tiles,
        **pixels,
    }
    video = {"video_processor_type": "InternVLVideoProcessor", "do_sample_frames": False, **pixels}
    processor = {"processor_class": "InternVLProcessor", "image_seq_length": family.model.tokens_per_tile}
    write_json(folder / PIXELS_FILE, {**image, "processor_class": "InternVLProcessor"})
    write_json(folder / VIDEO_FILE, {**video, "processor_class": "InternVLProcessor"})
    write_json(folder / PROCESSOR_FILE, processor)
    (folder / CHAT_TEMPLATE_FILE).write_text(chat_template(family) + "\n", encoding="utf-8")
    _write_tokenizer(folder, tokenizer)


def _write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Name the picture tokens; a SentencePiece model becomes a file that needs no class of its own."""
    config = read_object(folder / TOKENIZER_FILE) | {"extra_special_tokens": NAMED_TOKENS}
    config.pop("auto_map", None)
    if document := as_json(tokenizer):
        (folder / JSON_FILE).write_bytes(document)
        config |= {"tokenizer_class": "PreTrainedTokenizerFast"}
    write_json(folder / TOKENIZER_FILE, config)


def _pixels(family: Family) -> dict[str, Any]:
    side = family.model.tile_side
    return {
        "do_resize": True,
        "size": {"height": side, "width": side},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(family.model.mean),
        "image_std": list(family.model.std),
        "do_convert_rgb": True,
    }


def pixel_statistics(path: Path, inside: str | None = None) -> tuple[Triple, Triple]:
    """Mean and standard deviation of the pixels from a processor's file, ImageNet's when it says nothing."""
    content = read_object(path) if path.is_file() else {}
    content = content.get(inside) or {} if inside else content
    mean = tuple(content.get("image_mean") or IMAGENET_MEAN)
    std = tuple(content.get("image_std") or IMAGENET_STD)
    if len(mean) != 3 or len(std) != 3:
        raise ValueError(f"{path}: image_mean {mean} and image_std {std} need three numbers each")
    return mean, std
