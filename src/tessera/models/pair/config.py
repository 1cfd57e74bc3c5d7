"""What the pair is made of. Field names follow the released config (docs/facts/pair.md); needs no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from tessera.models.accounting import Weights, matrix
from tessera.models.config import IMAGENET_MEAN, IMAGENET_STD, DecoderConfig, VisionConfig
from tessera.models.numbers import Finite, Positive, Size
from tessera.runtime.config import Config


class PairConfig(Config):
    """InternViT, QLLaMA, and the heads through which both reach the shared space."""

    vision: VisionConfig
    qllama: DecoderConfig
    """The LLaMA in which queries, cross-attention in every `cross_attention_frequency`-th layer, stand."""
    clip_embed_dim: Size = 768
    """Width of the shared space."""
    attn_pool_num_heads: Size = 16
    num_query_token: Size = 96
    cross_attention_frequency: Size = 2
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the contrastive loss of stage 2."""
    bos_token_id: int = 1
    eos_token_id: int = 2
    """Ids before and behind every text that is embedded."""
    mean: tuple[Finite, Finite, Finite] = IMAGENET_MEAN
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD

    @model_validator(mode="after")
    def _heads(self) -> PairConfig:
        for part, width in (("vision", self.vision.hidden_size), ("qllama", self.qllama.hidden_size)):
            if width % self.attn_pool_num_heads:
                raise ValueError(
                    f"attn_pool_num_heads {self.attn_pool_num_heads} does not divide "
                    f"{part}.hidden_size {width}"
                )
        return self

    def crosses(self, layer: int) -> bool:
        """Whether the queries of a layer, counted from 0, read the picture."""
        return layer % self.cross_attention_frequency == 0

    @property
    def label(self) -> str:
        """Parts and sizes in a few words."""
        vision, text = self.vision, self.qllama
        return (
            f"InternViT {vision.num_hidden_layers}×{vision.hidden_size} + QLLaMA "
            f"{text.num_hidden_layers}×{text.hidden_size}, {self.num_query_token} queries"
        )

    def describe_parts(self) -> dict[str, str]:
        """One line about each part, by the names of `part_weights`."""
        vision = self.vision
        return {
            "vision": f"{vision.num_hidden_layers} layers of {vision.hidden_size} channels, "
            f"{vision.num_attention_heads} heads, {vision.image_size} px",
            "qllama": f"{self.qllama.description}; {self.num_query_token} queries read the picture in "
            f"every {self.cross_attention_frequency}. layer",
            "heads": f"attention pooling of both to {self.clip_embed_dim} channels, projection of texts",
        }

    def part_weights(self) -> dict[str, Weights]:
        """Weights of each part; the queries count to QLLaMA."""
        width, sight = self.qllama.hidden_size, self.vision.hidden_size
        inner = self.qllama.num_attention_heads * self.qllama.head_width
        cross = matrix(inner, width) * 2 + matrix(inner, sight) * 2 + Weights(width + sight)
        crossing = sum(map(self.crosses, range(self.qllama.num_hidden_layers)))
        queries = Weights(self.num_query_token * width)
        heads = _pooling(sight, self.clip_embed_dim) + _pooling(width, self.clip_embed_dim)
        return {
            "vision": self.vision.weights(),
            "qllama": self.qllama.weights() + cross * crossing + queries,
            "heads": heads + Weights(width * self.clip_embed_dim + 1 + 2 * width + 2),
        }


def _pooling(width: int, out: int) -> Weights:
    """Three norms, query, key and value with biases, and the projection."""
    return Weights(6 * width + 3 * (width**2 + width) + out * width + out)
