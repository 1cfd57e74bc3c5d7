"""What a model of some config takes: parameters by part, bytes of weights, bytes of cache.

Sums over what the configs say of their parts, so a table of all released models needs no torch. Tests hold
them against modules on the meta device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

if TYPE_CHECKING:
    import torch

    from tessera.models.config import ModelConfig

GROUP = 64
"""Weights of a row that share a scale in 4 bits: `nn.quantised.GROUP`, which needs torch."""
Stored = Literal["bf16", "int8", "int4"]


@dataclass(frozen=True)
class Weights:
    """How many weights: all of them, and entries and rows of the blocks' matrices, which int8 shrinks."""

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

    def bytes(self, stored: Stored, wide: int = 2) -> int:
        """`wide` a weight. `int8`: one an entry of the blocks' matrices and two a row for its scale; `int4`:
        half of one, and two for every GROUP of a row."""
        kept = {"int8": self.int8_entries + 2 * self.int8_rows}
        kept["int4"] = self.int8_entries // 2 + 2 * self.int8_entries // GROUP
        saved = 0 if stored == "bf16" else wide * self.int8_entries - kept[stored]
        return wide * self.total - saved


def matrix(rows: int, columns: int, bias: bool = False) -> Weights:
    """A linear layer of a block; its bias stays as it is."""
    return Weights(rows * columns + (rows if bias else 0), rows * columns, rows)


class Counted(Protocol):
    """A config whose parts count their own weights."""

    def part_weights(self) -> Mapping[str, Weights]:
        """Weights of each part, by its name."""

    def describe_parts(self) -> Mapping[str, str]:
        """One line about each part, under the same names."""


def count_parts(config: Counted) -> dict[str, int]:
    """Parameters of each part and `total`, which is all of them."""
    parts = {name: weights.total for name, weights in config.part_weights().items()}
    return {**parts, "total": sum(parts.values())}


def count_parameters(config: ModelConfig) -> dict[str, int]:
    """`count_parts` of a chat model, and `embeddings`, the input embedding matrix, which `decoder` has in it.
    A head tied to it counts once."""
    parts = count_parts(config)
    total = parts.pop("total")
    embeddings = config.decoder.vocab_size * config.decoder.hidden_size
    return {**parts, "embeddings": embeddings, "total": total}


def bytes_to_load(config: Counted, stored: Stored) -> int:
    """Bytes of all weights once loaded, int8 and int4 as `load_checkpoint(linears=...)` makes them.

    Raises ValueError for another word.
    """
    if stored not in get_args(Stored):
        raise ValueError(f"stored = {stored!r}: give bf16, int8 or int4")
    return sum(weights.bytes(stored) for weights in config.part_weights().values())


def kv_cache_bytes_per_token(config: ModelConfig, dtype: torch.dtype | None = None) -> int:
    """Bytes of keys and values that one token keeps in the cache over all layers; None is bfloat16."""
    decoder = config.decoder
    numbers = 2 * decoder.num_hidden_layers * decoder.num_key_value_heads * decoder.head_width
    return numbers * (dtype.itemsize if dtype else 2)
