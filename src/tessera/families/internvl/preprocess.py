"""The processor's files of transformers' layout: pixels, tiles, chat template, names of the picture tokens.

transformers 4 writes preprocessor_config.json; 5 keeps everything in processor_config.json. Both are read,
both are written.
"""

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
WRITTEN = (PIXELS_FILE, VIDEO_FILE, PROCESSOR_FILE, CHAT_TEMPLATE_FILE)
"""What `write_processor` adds to a saved tokenizer."""
TOKENIZER_FILE = "tokenizer_config.json"
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
    path = folder / PIXELS_FILE
    if path.is_file():
        content = read_object(path)
    else:
        path = folder / PROCESSOR_FILE
        content = (read_object(path).get("image_processor") or {}) if path.is_file() else {}
    mean = tuple(content.get("image_mean") or IMAGENET_MEAN)
    std = tuple(content.get("image_std") or IMAGENET_STD)
    if len(mean) != 3 or len(std) != 3:
        raise ValueError(f"{path}: image_mean {mean} and image_std {std} need three numbers each")
    named = {"min_tiles": content.get("min_patches"), "max_tiles": content.get("max_patches")}
    return Processor(mean, std, {name: limit for name, limit in named.items() if limit})


def write_processor(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """Write the processor's files beside a saved tokenizer, and name the picture tokens in its config."""
    pixels, tiling = _pixels(family), family.tiling
    image = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "crop_to_patches": tiling.dynamic,
        "min_patches": tiling.min_tiles,
        "max_patches": tiling.max_tiles,
        **pixels,
    }
    video = {"video_processor_type": "InternVLVideoProcessor", "do_sample_frames": False, **pixels}
    processor = {"image_seq_length": family.model.tokens_per_tile}
    for name, content in ((PIXELS_FILE, image), (VIDEO_FILE, video), (PROCESSOR_FILE, processor)):
        write_json(folder / name, content | {"processor_class": "InternVLProcessor"})
    (folder / CHAT_TEMPLATE_FILE).write_text(chat_template(family) + "\n", encoding="utf-8")
    _write_tokenizer(folder, tokenizer)


def _write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Name the picture tokens; a SentencePiece model becomes a file that needs no class of its own."""
    config = read_object(folder / TOKENIZER_FILE) | {"extra_special_tokens": NAMED_TOKENS}
    config.pop("auto_map", None)
    if document := as_json(tokenizer):
        (folder / "tokenizer.json").write_bytes(document)
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
