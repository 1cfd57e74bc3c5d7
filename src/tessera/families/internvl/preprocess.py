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
from tessera.runtime.json_file import Section, read_object, write_json

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
    pixels = Section(f"{folder / PIXELS_FILE}")
    if (folder / PIXELS_FILE).is_file():
        pixels = Section.of(folder / PIXELS_FILE)
    elif (folder / PROCESSOR_FILE).is_file():
        pixels = Section.of(folder / PROCESSOR_FILE).without_nulls().part("image_processor")
    pixels = pixels.without_nulls()
    mean = _three(pixels, "image_mean", IMAGENET_MEAN)
    std = _three(pixels, "image_std", IMAGENET_STD)
    if min(std) <= 0:
        raise pixels.wrong("image_std", "pixels are divided by it, so three positive numbers are needed")
    named = {"min_tiles": "min_patches", "max_tiles": "max_patches"}
    return Processor(mean, std, {name: pixels.whole(key) for name, key in named.items() if key in pixels})


def _three(pixels: Section, key: str, default: Triple) -> Triple:
    match pixels.numbers(key, default):
        case first, second, third:
            return first, second, third
    raise pixels.wrong(key, "three numbers are needed here")


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
