"""Toy sizes: the scale model that runs through the whole recipe on a laptop, and a smaller one for tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tessera.families.internvl.catalogue.language_models import make_decoder
from tessera.imaging.grid import Tiling
from tessera.models.config import DecoderKind, VisionConfig, VLMConfig
from tessera.models.experts import ExpertsConfig
from tessera.models.resolution.config import ResolutionConfig

if TYPE_CHECKING:
    from tessera.families.family import Family

VOCABULARY = 768
"""Upper bound; `Family.fitted` sets what the tokenizer has."""
Numbers = tuple[int, ...]


def _toy(
    name: str,
    *,
    pixels: Numbers,
    vit: Numbers,
    decoder: Numbers,
    scale: float,
    theta: float,
    kind: DecoderKind = "qwen2",
    resolution: ResolutionConfig | None = None,
    **more: Any,
) -> Family:
    """The published way of writing and cutting, with fewer tiles and no system text.

    pixels: sides of tile and patch. vit: width, layers, heads, feed-forward width. decoder: as the language
    models' shapes. scale: initial layer scale. theta: base of the rotary positions. more: fields of the
    decoder.
    """
    from tessera.families.family import Family

    names = ("image_size", "patch_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    sizes = dict(zip((*names, "intermediate_size"), (*pixels, *vit), strict=True))
    fields = {"attention_bias": True, "rope_theta": theta, "max_position_embeddings": 4096, **more}
    language = make_decoder(kind, VOCABULARY, decoder, **fields)
    vision = VisionConfig.model_validate({**sizes, "initializer_factor": scale})
    model = VLMConfig(vision=vision, decoder=language, image_token_id=VOCABULARY - 7, resolution=resolution)
    tiling = Tiling(tile_side=vision.image_size, max_tiles=6)
    return Family(name=name, model=model, tiling=tiling, template="internvl2_5", system_text="")


_SCALE = partial(
    _toy, pixels=(64, 8), vit=(192, 6, 3, 768), decoder=(192, 512, 4, 3, 3), scale=1.0, theta=1e4
)
_NANO = partial(_toy, pixels=(16, 4), vit=(16, 2, 2, 24), decoder=(32, 48, 2, 4, 2), scale=0.1, theta=1e6)
_ROUTED = {"kind": "qwen3_moe", "attention_bias": False, "qk_norm": True}

TOYS: dict[str, Callable[[], Family]] = {
    # 16 tokens a tile, 5 million weights.
    "scale_model": partial(_SCALE, "scale_model"),
    # The same with a ViT of a tenth of the weights, which learns from that one.
    "scale_small": partial(_SCALE, "scale_small", vit=(96, 2, 3, 384)),
    # 4 tokens a tile, a few thousand weights: for tests.
    "nano_model": partial(_NANO, "nano_model"),
    # Both with a second connector and a resolution router, as Flash models have.
    "scale_flash": partial(_SCALE, "scale_flash", resolution=ResolutionConfig()),
    "nano_flash": partial(_NANO, "nano_flash", resolution=ResolutionConfig()),
    # The small one with four experts in every block, of which a token takes two.
    "nano_moe": partial(
        _NANO, "nano_moe", experts=ExpertsConfig(count=4, top_k=2, intermediate_size=24), **_ROUTED
    ),
}
"""Sizes that were never published: the shipped model, variants of it, and others for tests."""
