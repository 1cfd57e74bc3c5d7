"""Configs of Mono-InternVL (docs/facts/mono.md)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tessera.models.config import DecoderConfig, VisionConfig, VLMConfig
from tessera.models.numbers import Size

NOTHING = Field(ge=0, le=0)
EMBEDDING = {
    *("image_size", "patch_size", "hidden_size", "layer_norm_eps"),
    *("drop_path_rate", "initializer_range", "initializer_factor"),
}
"""Fields of a vision config that a patch embedding has a use for; the others describe blocks."""

EXPERTS = ("visual_experts", "visual_attention")


class PatchConfig(VisionConfig):
    """A patch embedding alone: convolution, class token, positions; what blocks would be made of is unused.

    `VisionTransformer` without blocks computes it, which drops the class token behind the positions.
    """

    num_hidden_layers: Annotated[int, NOTHING] = 0
    num_attention_heads: Size = 1


class MonoConfig(VLMConfig):
    """Patch embedding, pixel shuffle with an MLP, and a decoder that looks at pictures itself."""

    vision: PatchConfig

    def vision_of(self, given: VisionConfig) -> PatchConfig:
        """The embeddings of any InternViT."""
        kept = given.model_dump(include=EMBEDDING)
        return PatchConfig(**kept)

    def decoder_of(self, given: DecoderConfig) -> DecoderConfig:
        """With visual experts where this one has them; they begin as what text meets."""
        said = {name: getattr(self.decoder, name) or getattr(given, name) for name in EXPERTS}
        return given.model_copy(update=said)

    @property
    def label(self) -> str:
        """Patch embedding and decoder, layers × channels."""
        decoder = self.decoder
        experts = " with visual experts" if decoder.visual_experts else ""
        return (
            f"patch embedding {self.vision.hidden_size} + {decoder.architecture} "
            f"{decoder.num_hidden_layers}×{decoder.hidden_size}{experts}"
        )

    def describe_parts(self) -> dict[str, str]:
        """A patch embedding has no layers to tell of."""
        vision = self.vision
        looks = f"patches of {vision.patch_size} px to {vision.hidden_size} channels, no blocks"
        return super().describe_parts() | {"vision": looks}
