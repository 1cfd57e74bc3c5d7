"""The released chat models of 1.0 without QLLaMA, and a toy size of them (docs/facts/llava.md).

The language models' counts are those of LLaMA's paper (arXiv 2302.13971, table 2), the ViT's that of InternVL
2.5's (arXiv 2412.05271, table 1). No total was printed that the parts' sum could be held against.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tessera.families.entry import Component, Entry, LanguageModel, Published, VisionModel
from tessera.families.internvl.catalogue.language_models import LLAMA_2, Shape, make_decoder
from tessera.families.internvl.catalogue.vision_models import LARGE_224, LARGE_V1_0
from tessera.families.llava.config import FILL, LlavaConfig
from tessera.imaging.grid import Tiling
from tessera.models.config import VisionConfig

if TYPE_CHECKING:
    from tessera.families.family import Family

UNKNOWN = 0
"""Id of `<unk>` in LLaMA's vocabulary."""
COMPONENTS: tuple[Component, ...] = ()
UNVERIFIED = ("mm_vision_tower", "weight files", "legacy (of the tokenizer)")
SOURCE = "arXiv 2302.13971 and 2412.05271, by parts"


def _vicuna(size: str, shape: Shape) -> LanguageModel:
    config = make_decoder(
        "llama", 32_000, shape, rms_norm_eps=1e-5, rope_theta=1e4, max_position_embeddings=4096
    )
    return LanguageModel(f"vicuna-{size}-v1.5", config, UNKNOWN, "SentencePiece", LLAMA_2, "<s>")


VICUNA_7B = _vicuna("7b", (4096, 11008, 32, 32, 32))
VICUNA_13B = _vicuna("13b", (5120, 13824, 40, 40, 40))


def _padded(side: int) -> Tiling:
    """One square, padded with the mean colour."""
    return Tiling(tile_side=side, max_tiles=1, thumbnail=False, dynamic=False, square="pad", fill=FILL)


def _member(suffix: str, language: LanguageModel, printed: str, vision: VisionModel, side: int) -> Entry:
    """Read at the fourth state from the end, as the authors' scripts say for both ViTs."""
    model = LlavaConfig(
        vision=vision.config.model_copy(update={"image_size": side}),
        decoder=language.config,
        image_token_id=language.image_token,
        select_layer=-4,
        vision_tower=f"OpenGVLab/{vision.name}",
    )
    notes = (
        ()
        if side == vision.config.image_size
        else (f"the ViT was trained at 224 px and reads {side} px here",)
    )
    return Entry(
        base="InternVL-Chat-ViT-6B",
        suffix=suffix,
        generation="1",
        architecture="llava",
        vision=vision,
        language=language,
        model=model,
        template="vicuna_v1",
        published=Published("", vision="5.9", language=printed, source=SOURCE),
        tiling=_padded(side),
        frame_label="cards",
        weight_files="pytorch_model-*.bin (pickles, read in weights-only mode)",
        notes=("in LLaVA's code and file format: no config of the ViT, which is named or inside", *notes),
        unverified=UNVERIFIED,
    )


ENTRIES = (
    _member("-Vicuna-7B", VICUNA_7B, "6.7", LARGE_224, 336),
    _member("-Vicuna-13B", VICUNA_13B, "13.0", LARGE_224, 336),
    _member("-Vicuna-13B-448px", VICUNA_13B, "13.0", LARGE_V1_0, 448),
)


def refusal(name: str) -> str | None:
    """Why a published name does not open, or None when nothing is known against it."""
    return None


def _toy(name: str, width: int, decoder: tuple[int, ...]) -> Family:
    """Squares of 16 px in 16 patches, each of which is a token."""
    from tessera.families.family import Family

    vision = VisionConfig(
        image_size=16,
        patch_size=4,
        hidden_size=width,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=24,
    )
    language = make_decoder("llama", 768, decoder, rope_theta=1e4, max_position_embeddings=4096)
    model = LlavaConfig(vision=vision, decoder=language, image_token_id=UNKNOWN, select_layer=-2)
    return Family(name=name, architecture="llava", model=model, tiling=_padded(16), template="vicuna_v1")


TOYS: dict[str, Callable[[], Family]] = {
    # 16 tokens a picture, a few thousand weights: for tests.
    "nano_llava": partial(_toy, "nano_llava", 16, (32, 48, 2, 4, 2)),
}
