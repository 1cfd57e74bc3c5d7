"""The released Mono-InternVL models, and toy sizes of the same architecture (docs/facts/mono.md).

One size, after each stage of its training. Counts: the model card's 3.11B. Its "1.8B activated" is the name
of InternLM2-1.8B, which has 1.889B; a token meets 1.90B here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tessera.families.entry import Component, Entry, Published, VisionModel
from tessera.families.internvl.catalogue.language_models import INTERNLM2_1_8B, make_decoder
from tessera.families.mono.config import MonoConfig, PatchConfig
from tessera.imaging.grid import Tiling

if TYPE_CHECKING:
    from tessera.families.family import Family

COMPONENTS: tuple[Component, ...] = ()
PATCHES = VisionModel("patch embedding", "none", PatchConfig())
LANGUAGE = INTERNLM2_1_8B.varied({"visual_experts": True})
UNVERIFIED = ("patch channels", "most tiles")
NOTES = (
    "no released config.json was seen: 1,024 channels of the patch embedding are what makes 3.11B",
    "published as 1.8B activated, which is the name of InternLM2-1.8B: a token meets 1.90B",
)
STAGES = {
    "-S1-1": "after concept learning on noisy pairs: not tuned for conversation",
    "-S1-2": "after semantic learning on made captions: not tuned for conversation",
    "-S1-3": "after alignment on tasks: where the published tuning starts",
}

PLAIN = Entry(
    base="Mono-InternVL-2B",
    generation="2",
    architecture="mono",
    vision=PATCHES,
    language=LANGUAGE,
    model=MonoConfig(vision=PATCHES.config, decoder=LANGUAGE.config, image_token_id=LANGUAGE.image_token),
    template="internlm2-chat",
    published=Published("3.11", source="model card"),
    card_licence="MIT",
    notes=NOTES,
    unverified=UNVERIFIED,
)
ENTRIES = (
    *(replace(PLAIN, suffix=suffix, notes=(note, *NOTES)) for suffix, note in STAGES.items()),
    PLAIN,
)
UNSEEN = (
    "adds visual experts to attention, whose code and weights' names we could not see: open "
    "Mono-InternVL-2B, or train a model with decoder.visual_attention (docs/mono.md)"
)


def refusal(name: str) -> str | None:
    """Why a published name does not open, or None when nothing is known against it."""
    return UNSEEN if name.lower().startswith("mono-internvl-1.5") else None


Numbers = tuple[int, ...]
VOCABULARY = 768
"""Upper bound; `Family.fitted` sets what the tokenizer has."""


def _toy(
    name: str, pixels: Numbers, width: int, decoder: Numbers, theta: float, attention: bool = False
) -> Family:
    """Sides of tile and patch, channels of a patch, the decoder's shape as language models have it."""
    from tessera.families.family import Family

    side, patch = pixels
    vision = PatchConfig(image_size=side, patch_size=patch, hidden_size=width)
    language = make_decoder(
        "internlm2",
        VOCABULARY,
        decoder,
        visual_experts=True,
        visual_attention=attention,
        rope_theta=theta,
        max_position_embeddings=4096,
    )
    model = MonoConfig(vision=vision, decoder=language, image_token_id=VOCABULARY - 7)
    return Family(
        name=name,
        architecture="mono",
        model=model,
        tiling=Tiling(tile_side=side, max_tiles=6),
        template="internvl2_5",
        system_text="",
    )


TOYS: dict[str, Callable[[], Family]] = {
    # The scale model without its ViT: 16 tokens a tile, 3.5 million weights.
    "scale_mono": partial(_toy, "scale_mono", (64, 8), 192, (192, 512, 4, 3, 3), 1e4),
    # 4 tokens a tile, a few thousand weights: for tests.
    "nano_mono": partial(_toy, "nano_mono", (16, 4), 16, (32, 48, 2, 4, 2), 1e6),
    # With visual experts in attention, too: as 1.5 is told to be, unverified.
    "nano_mono_attention": partial(
        _toy, "nano_mono_attention", (16, 4), 16, (32, 48, 2, 4, 2), 1e6, attention=True
    ),
}
