"""What a model is made of. Field names follow the released configs where the meaning is the same.

Nothing here needs torch. A part's config counts its own weights; a model's config builds its modules, which
imports torch when it is called.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from tessera.models.accounting import Weights, matrix
from tessera.models.experts import ExpertsConfig
from tessera.models.numbers import Epsilon, Finite, Layers, Length, Positive, Size, check_multiple
from tessera.models.resolution.config import ResolutionConfig
from tessera.models.vision.config import POSITIONS as POSITIONS
from tessera.models.vision.config import VisionConfig as VisionConfig
from tessera.nn.rope_scaling import RopeScaling
from tessera.runtime.config import Config

if TYPE_CHECKING:
    from torch import nn

    from tessera.models.audio_encoder.config import Hearing

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

DecoderKind = Literal["llama", "internlm2", "internlm3", "qwen2", "qwen3", "phi3", "qwen3_moe", "gpt_oss"]
"""Whose file format a decoder is published in; the arithmetic follows from the other fields alone."""


class DecoderConfig(Config):
    """One decoder for LLaMA, Yi, InternLM2/3, Qwen2/2.5/3, Phi-3 (docs/facts/models.md), Qwen3-MoE and
    GPT-OSS (docs/facts/moe.md)."""

    architecture: DecoderKind = "qwen2"
    vocab_size: Size
    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: Layers
    num_attention_heads: Size
    num_key_value_heads: Size
    head_dim: Size | None = None
    """Width of a head; hidden_size / num_attention_heads when not given."""
    rms_norm_eps: Epsilon = 1e-6
    rope_theta: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 1e6
    attention_bias: bool = True
    """Biases on query, key and value (Qwen2: yes, LLaMA: no)."""
    attention_output_bias: bool = False
    """A bias behind attention, too (GPT-OSS)."""
    attention_sinks: bool = False
    """A trained score of each head that weights of attention may go to instead of keys (GPT-OSS)."""
    sliding_window: Size | None = None
    """Tokens that a token of `sliding_layers` sees, itself included."""
    sliding_layers: tuple[int, ...] = ()
    """Blocks, counted from 0, whose attention is held within the window (GPT-OSS: every other one)."""
    experts: ExpertsConfig | None = None
    """Routed experts instead of feed-forward parts of `intermediate_size`, in some or all blocks."""
    qk_norm: bool = False
    """RMS norm over each head of query and key before the rotation (Qwen3)."""
    tie_word_embeddings: bool = False
    visual_experts: bool = False
    """A second feed-forward in every block, of the same shape, for tokens of pictures (Mono-InternVL)."""
    visual_attention: bool = False
    """Projections of attention for tokens of pictures, too (unverified: docs/facts/mono.md)."""
    max_position_embeddings: Length = 32768
    rope_scaling: RopeScaling | None = None

    @model_validator(mode="after")
    def _heads(self) -> DecoderConfig:
        check_multiple(self, "num_attention_heads", "num_key_value_heads")
        if self.head_width % 2:
            raise ValueError(f"head_dim {self.head_width} is odd, but positions turn channels in pairs")
        if not self.head_width:
            raise ValueError(f"hidden_size {self.hidden_size} is less than num_attention_heads")
        if self.rope_scaling and self.rope_scaling.kind == "longrope":
            self._check_longrope(self.rope_scaling)
        if self.experts is not None and self.visual_experts:
            raise ValueError("visual_experts with experts: no decoder has both; leave one out")
        if self.visual_attention and not self.visual_experts:
            raise ValueError("visual_attention without visual_experts: give both, or leave it out")
        if self.sliding_layers and self.sliding_window is None:
            raise ValueError("sliding_layers without sliding_window: say how many tokens they see")
        return self

    def _check_longrope(self, scaling: RopeScaling) -> None:
        for name in ("short_factor", "long_factor"):
            if (count := len(getattr(scaling, name))) != self.head_width // 2:
                raise ValueError(
                    f"rope_scaling.{name} has {count} entries but longrope needs one for each of the "
                    f"{self.head_width // 2} pairs of channels of a head"
                )

    @property
    def trained_length(self) -> int:
        """Positions up to which the rotation is as trained; scaling may carry it on from there."""
        given = self.rope_scaling and self.rope_scaling.original_max_position_embeddings
        return given or self.max_position_embeddings

    @property
    def longest_context(self) -> int:
        """Most positions that the decoder was made for, its scaling included."""
        factor = self.rope_scaling.factor if self.rope_scaling else 1.0
        return max(self.max_position_embeddings, int(self.trained_length * factor))

    @property
    def rotary_scaling(self) -> RopeScaling | None:
        """`rope_scaling` with what it leaves to other fields filled in."""
        if self.rope_scaling is None:
            return None
        fields: dict[str, float] = {"original_max_position_embeddings": self.trained_length}
        if self.rope_scaling.kind in ("yarn", "longrope") and self.rope_scaling.factor == 1.0:
            fields["factor"] = self.max_position_embeddings / self.trained_length
        return self.rope_scaling.model_copy(update=fields)

    @property
    def head_width(self) -> int:
        """Channels of one head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def description(self) -> str:
        """Layers and widths, for people."""
        more = ", QK-norm" if self.qk_norm else ""
        more += ", attention sinks" if self.attention_sinks else ""
        if self.sliding_layers:
            more += f", {len(self.sliding_layers)} layers see {self.sliding_window} tokens"
        twice = " for text and again for pictures" if self.visual_experts else ""
        twice += ", as are attention's projections" if self.visual_attention else ""
        parts = f"feed-forward {self.intermediate_size}{twice}"
        if experts := self.experts:
            parts = f"{experts.count} experts of {experts.intermediate_size}, {experts.top_k} for a token"
        return (
            f"{self.num_hidden_layers} layers of {self.hidden_size} channels, {self.num_attention_heads} "
            f"heads, {self.num_key_value_heads} for keys and values, {parts}{more}"
        )

    @property
    def expert_count(self) -> int:
        """Experts of a block that has some; 0 for a dense decoder."""
        return self.experts.count if self.experts else 0

    def window_of(self, layer: int) -> int | None:
        """Tokens that one of the block of this number, counted from 0, sees; None for all."""
        return self.sliding_window if layer in self.sliding_layers else None

    def weights(self) -> Weights:
        """Weights of embeddings, blocks, last norm and output head; a tied head counts once."""
        width, heads = self.hidden_size, self.num_attention_heads
        block = (
            self._projections
            + Weights(2 * width + (2 * self.head_width if self.qk_norm else 0))
            + Weights(heads if self.attention_sinks else 0)
            + self._visual
        )
        depth, sparse = self.num_hidden_layers, self._sparse
        inner = self._feed_forward * (depth - sparse)
        if self.experts is not None:
            inner += self.experts.weights(width) * sparse
        tables = 1 if self.tie_word_embeddings else 2
        return block * depth + inner + Weights(tables * self.vocab_size * width + width)

    @property
    def _projections(self) -> Weights:
        width, queries = self.hidden_size, self.num_attention_heads * self.head_width
        keys = matrix(self.num_key_value_heads * self.head_width, width, self.attention_bias)
        back = matrix(width, queries, self.attention_output_bias)
        return matrix(queries, width, self.attention_bias) + keys * 2 + back

    @property
    def _feed_forward(self) -> Weights:
        width, inner = self.hidden_size, self.intermediate_size
        return matrix(inner, width) * 2 + matrix(width, inner)

    @property
    def _visual(self) -> Weights:
        """Of a block, what tokens of pictures alone meet."""
        return self._feed_forward * self.visual_experts + self._projections * self.visual_attention

    @property
    def _sparse(self) -> int:
        return self.experts.layers(self.num_hidden_layers) if self.experts else 0

    def idle_weights(self) -> int:
        """Weights that a token does not meet: those of experts, routed or visual, that it does not take."""
        if self.experts is None:
            return self._visual.total * self.num_hidden_layers
        width = self.hidden_size
        return self._sparse * (self.experts.weights(width).total - self.experts.active(width))


class ModelConfig(Config):
    """What the rest of the package asks of every family's model; the family adds its own parts.

    Every model has a decoder of `models.decoder`, a placeholder whose embedding a visual feature replaces,
    and square tiles of `tile_side` pixels that become `tokens_per_tile` features each.
    """

    decoder: DecoderConfig
    image_token_id: int
    """Id of the visual placeholder, looked up by string in the tokenizer."""
    mean: tuple[Finite, Finite, Finite] = IMAGENET_MEAN
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD

    @property
    @abstractmethod
    def tile_side(self) -> int:
        """Side of a tile in pixels."""

    @property
    @abstractmethod
    def tokens_per_tile(self) -> int:
        """Visual tokens that one tile becomes."""

    @property
    def hearing(self) -> Hearing | None:
        """What a model that hears says of it; its parts then have `audio` and `audio_connector`."""
        return None

    @property
    def placeholder_ids(self) -> tuple[int, ...]:
        """Ids of the placeholders of pictures and sounds, which no answer holds."""
        return (self.image_token_id, *((self.hearing.token_id,) if self.hearing else ()))

    @property
    @abstractmethod
    def label(self) -> str:
        """Parts and sizes in a few words, for the summary of an opened model."""

    @abstractmethod
    def describe_parts(self) -> dict[str, str]:
        """One line about each part, by the names of `build_parts`, for people."""

    @abstractmethod
    def build_parts(self) -> dict[str, nn.Module]:
        """The modules by name, in order: `vision` (a `TileEncoder`), `connector` and `decoder`.

        The connector maps the encoder's states [N, P, D_vision] to features [N, tokens_per_tile, D].
        """

    @abstractmethod
    def part_weights(self) -> dict[str, Weights]:
        """Weights of each part, by the names of `build_parts`."""


class VLMConfig(ModelConfig):
    """InternViT, pixel shuffle with an MLP, and a decoder (docs/facts/architecture.md)."""

    vision: VisionConfig
    select_layer: int = -1
    """Which ViT state feeds the connector: -1 is the last layer; index into embeddings + layers."""
    downsample_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    ps_version: Literal["v1", "v2"] = "v2"
    resolution: ResolutionConfig | None = None
    """Of Flash models: a router that makes some tiles coarse, a quarter of the tokens."""

    @model_validator(mode="after")
    def _fitting(self) -> VLMConfig:
        depth = self.vision.num_hidden_layers
        if not -depth - 1 <= self.select_layer <= depth:
            raise ValueError(
                f"select_layer {self.select_layer}: a ViT of {depth} layers has states 0 to {depth}"
            )
        factor, grid = self.shuffle_factor, self.vision.grid
        if grid % factor or self.tokens_per_tile * factor**2 != grid**2:
            raise ValueError(
                f"downsample_ratio {self.downsample_ratio} does not divide a grid of {grid} patches"
            )
        if self.resolution is not None and grid % factor**2:
            raise ValueError(f"resolution: coarse tiles merge {factor**2} patches along a side of {grid}")
        return self

    def vision_of(self, given: VisionConfig) -> VisionConfig:
        """A given encoder as the part of such a model. ValueError for one that can't be."""
        if not given.num_hidden_layers:
            raise ValueError("vision: a patch embedding without blocks is no InternViT; give another model")
        return given

    def decoder_of(self, given: DecoderConfig) -> DecoderConfig:
        """A given decoder as the part of such a model; weights that it lacks are made of its own."""
        return given

    @property
    def shuffle_factor(self) -> int:
        """Patches along one side that merge into one token (2 for a ratio of 0.5)."""
        return round(1 / self.downsample_ratio)

    @property
    def tile_side(self) -> int:
        return self.vision.image_size

    @property
    def tokens_per_tile(self) -> int:
        """256 for 448 px, patch 14, ratio 0.5."""
        return int(self.vision.grid**2 * self.downsample_ratio**2)

    @property
    def coarse_tokens(self) -> int:
        """Visual tokens of a coarse tile: 64 where others have 256."""
        return (self.vision.grid // self.shuffle_factor**2) ** 2

    @property
    def label(self) -> str:
        """InternViT and decoder, layers × channels."""
        vision, decoder = self.vision, self.decoder
        return (
            f"InternViT {vision.num_hidden_layers}×{vision.hidden_size} + {decoder.architecture} "
            f"{decoder.num_hidden_layers}×{decoder.hidden_size}"
        )

    def describe_parts(self) -> dict[str, str]:
        """Layers, widths and what the member's releases differ in."""
        vision, decoder = self.vision, self.decoder
        norm = "RMS norm" if vision.norm_type == "rms_norm" else "LayerNorm"
        norm += ", QK-norm" if vision.qk_normalization else ""
        read = f", read at state {self.select_layer}" if self.select_layer != -1 else ""
        merged = self.shuffle_factor**2
        return {
            "vision": f"{vision.num_hidden_layers} layers of {vision.hidden_size} channels, "
            f"{vision.num_attention_heads} heads, {norm}{read}",
            "connector": f"{merged} patches become one token (pixel shuffle {self.ps_version}), "
            f"{merged * vision.hidden_size} to {decoder.hidden_size} channels in two layers",
            "decoder": decoder.description,
            **({} if self.resolution is None else self.resolution.described(self.coarse_tokens)),
        }

    def build_parts(self) -> dict[str, nn.Module]:
        """InternViT read at `select_layer`, the official `mlp1`, and the decoder."""
        from tessera.models.connectors.mlp import Connector
        from tessera.models.decoder import Decoder
        from tessera.models.vision.internvit import VisionTransformer

        widths = self.vision.hidden_size, self.decoder.hidden_size
        return {
            "vision": VisionTransformer(self.vision, self.select_layer),
            "connector": Connector(*widths, self.shuffle_factor, self.ps_version),
            "decoder": Decoder(self.decoder),
            **({} if self.resolution is None else self.resolution.build(*widths, self)),
        }

    def part_weights(self) -> dict[str, Weights]:
        """The connector has a norm over the merged patches and two linears with biases."""
        merged, width = self.vision.hidden_size * self.shuffle_factor**2, self.decoder.hidden_size
        connector = Weights(2 * merged + merged * width + width**2 + 2 * width)
        parts = {"vision": self.vision.weights(), "connector": connector, "decoder": self.decoder.weights()}
        seen = self.vision.hidden_size, self.shuffle_factor
        return parts if self.resolution is None else parts | self.resolution.weights(*seen, width)
