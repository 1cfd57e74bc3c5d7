"""The parts of a member as plain tables: a ViT and a language model, and what they weigh.

Nothing here needs torch, so that listing ninety models takes no time; `VisionModel.config` and
`LanguageModel.config` make the real configs when a model is wanted. The sums below are held against the
modules themselves (tests/families/test_counts.py, through models.accounting).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tessera.models.config import DecoderConfig, VisionConfig

Vocabulary = Literal["byte-level BPE", "SentencePiece"]
"""Which kind of tokenizer file stands in the repository."""


@dataclass(frozen=True)
class Weights:
    """How many weights: all of them, and rows and entries of the matrices that int8 loading shrinks."""

    total: int
    int8_entries: int = 0
    int8_rows: int = 0

    def __add__(self, other: Weights) -> Weights:
        return Weights(
            self.total + other.total,
            self.int8_entries + other.int8_entries,
            self.int8_rows + other.int8_rows,
        )

    def __mul__(self, count: int) -> Weights:
        return Weights(self.total * count, self.int8_entries * count, self.int8_rows * count)

    @property
    def bytes_bf16(self) -> int:
        """Bytes in bfloat16."""
        return 2 * self.total

    @property
    def bytes_int8(self) -> int:
        """Bytes when the blocks' matrices hold one byte an entry and a bfloat16 scale a row."""
        return 2 * (self.total - self.int8_entries) + self.int8_entries + 2 * self.int8_rows


def matrix(rows: int, columns: int, bias: bool = False) -> Weights:
    """A linear layer of a block; its bias stays as it is."""
    return Weights(rows * columns + (rows if bias else 0), rows * columns, rows)


@dataclass(frozen=True)
class VisionModel:
    """InternViT: layers, channels, heads and feed-forward width at 448 px with patches of 14 (facts 1.1)."""

    name: str
    layers: int
    width: int
    heads: int
    inner: int
    large: bool
    """The 6B line: RMS norm, QK-norm and no bias on query, key and value."""
    licence: str = "MIT"
    image_size: int = 448
    patch_size: int = 14

    @property
    def label(self) -> str:
        """300M or 6B, as the names of the series say it."""
        return "6B" if self.large else "300M"

    @property
    def tokens(self) -> int:
        """Patches of a tile."""
        return (self.image_size // self.patch_size) ** 2

    def config(self, initializer_factor: float, initializer_range: float, drop_path: float) -> VisionConfig:
        """The config of this ViT, with the initial values a release writes down."""
        from tessera.models.config import VisionConfig

        return VisionConfig(
            image_size=self.image_size,
            patch_size=self.patch_size,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.inner,
            norm_type="rms_norm" if self.large else "layer_norm",
            qk_normalization=self.large,
            qkv_bias=not self.large,
            drop_path_rate=drop_path,
            initializer_range=initializer_range,
            initializer_factor=initializer_factor,
        )

    def weights(self) -> Weights:
        """Weights of embeddings and blocks."""
        width = self.width
        norm = width if self.large else 2 * width
        vectors = 2 * norm + 2 * width + (2 * width if self.large else 0)  # norms, layer scales, QK-norm
        block = (
            matrix(3 * width, width, bias=not self.large)
            + matrix(width, width, bias=True)
            + matrix(self.inner, width, bias=True)
            + matrix(width, self.inner, bias=True)
            + Weights(vectors)
        )
        patch = 3 * self.patch_size**2 * width + width
        return block * self.layers + Weights(patch + width + (1 + self.tokens) * width)


@dataclass(frozen=True)
class LanguageModel:
    """A decoder as the series stores it: nine tokens added, output head apart from the embeddings."""

    name: str
    architecture: str
    """Whose file format it is published in; a `models.config.Architecture`."""
    vocabulary: int
    """Rows of the embeddings."""
    image_token: int
    """Id of `<IMG_CONTEXT>`."""
    width: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    eps: float
    theta: float
    positions: int
    """`max_position_embeddings` of the nested config."""
    tokenizer: Vocabulary
    licence: str
    bos: str = ""
    """Token that the tokenizer puts before every prompt."""
    head_width: int = 128
    biases: bool = False
    qk_norm: bool = False
    scaling: dict[str, Any] = field(default_factory=dict)
    """Fields of `models.config.RopeScaling`; empty means none."""
    unverified: tuple[str, ...] = ()
    """Fields whose number we could not read in a released file."""

    def config(self) -> DecoderConfig:
        """The config of this decoder."""
        from tessera.models.config import DecoderConfig, RopeScaling

        return DecoderConfig.model_validate(
            {
                "architecture": self.architecture,
                "vocab_size": self.vocabulary,
                "hidden_size": self.width,
                "intermediate_size": self.inner,
                "num_hidden_layers": self.layers,
                "num_attention_heads": self.heads,
                "num_key_value_heads": self.kv_heads,
                # Written only where it does not follow from the width, as in the released configs.
                "head_dim": None if self.head_width * self.heads == self.width else self.head_width,
                "rms_norm_eps": self.eps,
                "rope_theta": self.theta,
                "attention_bias": self.biases,
                "qk_norm": self.qk_norm,
                "max_position_embeddings": self.positions,
                "rope_scaling": RopeScaling(**self.scaling) if self.scaling else None,
            }
        )

    def weights(self) -> Weights:
        """Weights of embeddings, blocks, last norm and output head."""
        queries, keys = self.heads * self.head_width, self.kv_heads * self.head_width
        block = (
            matrix(queries, self.width, self.biases)
            + matrix(keys, self.width, self.biases) * 2
            + matrix(self.width, queries)
            + matrix(self.inner, self.width) * 2
            + matrix(self.width, self.inner)
            + Weights(2 * self.width + (2 * self.head_width if self.qk_norm else 0))
        )
        return block * self.layers + Weights(2 * self.vocabulary * self.width + self.width)

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of keys and values of one token in bfloat16, over all layers."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_width


def connector_weights(vision_width: int, language_width: int) -> Weights:
    """Norm over four patches, linear to the language model's width, linear (the official mlp1, facts 1.2)."""
    four = 4 * vision_width
    return Weights(2 * four + four * language_width + language_width**2 + 2 * language_width)
