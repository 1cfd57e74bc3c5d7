"""What InternViT is made of, as plain values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tessera.models.accounting import Weights, matrix
from tessera.models.numbers import Epsilon, Finite, Layers, Size, check_multiple
from tessera.runtime.config import Config

POSITIONS = "vision.embeddings.position_embedding"
"""Name of InternViT's parameter whose shape depends on the side of a tile."""


class VisionConfig(Config):
    """InternViT (docs/facts/architecture.md). Lengths in pixels, widths in channels."""

    image_size: Annotated[int, Field(ge=1, le=2**14)] = 448
    patch_size: Annotated[int, Field(ge=1, le=2**14)] = 14
    hidden_size: Size = 1024
    num_hidden_layers: Layers = 24
    num_attention_heads: Size = 16
    intermediate_size: Size = 4096
    norm_type: Literal["rms_norm", "layer_norm"] = "layer_norm"
    layer_norm_eps: Epsilon = 1e-6
    qk_normalization: bool = False
    qkv_bias: bool = True
    drop_path_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    initializer_range: Finite = 0.02
    initializer_factor: Finite = 0.1
    """Initial value of the layer scale vectors."""

    @model_validator(mode="after")
    def _divisible(self) -> VisionConfig:
        check_multiple(self, "image_size", "patch_size")
        check_multiple(self, "hidden_size", "num_attention_heads")
        return self

    @property
    def grid(self) -> int:
        """Patches along one side of a tile."""
        return self.image_size // self.patch_size

    def weights(self) -> Weights:
        """Weights of embeddings and blocks."""
        width, inner = self.hidden_size, self.intermediate_size
        norm = width if self.norm_type == "rms_norm" else 2 * width
        vectors = 2 * norm + 2 * width + (2 * width if self.qk_normalization else 0)  # norms, layer scales
        block = (
            matrix(3 * width, width, self.qkv_bias)
            + matrix(width, width, bias=True)
            + matrix(inner, width, bias=True)
            + matrix(width, inner, bias=True)
            + Weights(vectors)
        )
        patches = 3 * self.patch_size**2 * width + width
        return block * self.num_hidden_layers + Weights(patches + width + (1 + self.grid**2) * width)
