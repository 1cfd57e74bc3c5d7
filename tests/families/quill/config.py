"""Configs of a made-up family: SigLIP-like, without class token, and queries instead of a pixel shuffle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tessera.models.accounting import Weights, matrix
from tessera.models.config import ModelConfig
from tessera.runtime.config import Config

if TYPE_CHECKING:
    from torch import nn


class SiglipConfig(Config):
    """Patches, learned positions, pre-norm blocks, a norm at the end."""

    image_size: int = 24
    patch_size: int = 8
    hidden_size: int = 16
    num_hidden_layers: int = 2
    num_attention_heads: int = 2
    intermediate_size: int = 32

    def weights(self) -> Weights:
        width, inner = self.hidden_size, self.intermediate_size
        block = matrix(3 * width, width, bias=True) + matrix(width, width, bias=True) + Weights(4 * width)
        block += matrix(inner, width, bias=True) + matrix(width, inner, bias=True)
        patches = (self.image_size // self.patch_size) ** 2
        embeddings = 3 * self.patch_size**2 * width + width + patches * width
        return block * self.num_hidden_layers + Weights(embeddings + 2 * width)


class QuillConfig(ModelConfig):
    """The whole model: `queries` learned vectors look at the patches of a tile and become its tokens."""

    eyes: SiglipConfig = SiglipConfig()
    queries: int = 5

    @property
    def tile_side(self) -> int:
        return self.eyes.image_size

    @property
    def tokens_per_tile(self) -> int:
        return self.queries

    @property
    def label(self) -> str:
        return f"Siglip-like {self.eyes.num_hidden_layers}×{self.eyes.hidden_size} + {self.queries} queries"

    def describe_parts(self) -> dict[str, str]:
        return {"vision": "looks", "connector": "asks", "decoder": self.decoder.description}

    def build_parts(self) -> dict[str, nn.Module]:
        from tessera.models.decoder import Decoder
        from tests.families.quill.modules import QueryConnector, SiglipEncoder

        return {
            "vision": SiglipEncoder(self.eyes),
            "connector": QueryConnector(self.eyes.hidden_size, self.decoder.hidden_size, self.queries),
            "decoder": Decoder(self.decoder),
        }

    def part_weights(self) -> dict[str, Weights]:
        width, seen = self.decoder.hidden_size, self.eyes.hidden_size
        connector = Weights(self.queries * width + 2 * (width * seen + width) + width**2 + width)
        return {"vision": self.eyes.weights(), "connector": connector, "decoder": self.decoder.weights()}
