"""What the experts of a decoder are, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from tessera.models.accounting import Weights, matrix
from tessera.nn.experts.kinds import CLAMPED_ALPHA, CLAMPED_LIMIT, GateKind, Shares
from tessera.runtime.config import Config

if TYPE_CHECKING:
    from tessera.nn.experts.mixture import Mixture

Number = Annotated[int, Field(ge=1, le=2**24)]
Layer = Annotated[int, Field(ge=0, le=2**14)]


class ExpertsConfig(Config):
    """Routed experts in place of a block's feed-forward part (docs/facts/moe.md)."""

    count: Number
    top_k: Number
    """Experts that a token takes."""
    intermediate_size: Number
    """Channels within one expert."""
    shares: Shares = "all_normalised"
    gate: GateKind = "silu"
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = CLAMPED_ALPHA
    limit: Annotated[float, Field(gt=0, allow_inf_nan=False)] = CLAMPED_LIMIT
    """Of the clamped gate: slope of its sigmoid, and the largest number that goes in."""
    bias: bool = False
    """Biases on the router and on both matrices of every expert (GPT-OSS)."""
    sparse_step: Number = 1
    """Every so many-th block has experts, the first of them the block of this number, counted from 1."""
    dense_layers: tuple[Layer, ...] = ()
    """Blocks, counted from 0, that have none all the same."""
    balance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.001
    """What the balance loss counts in training (`router_aux_loss_coef`)."""

    @model_validator(mode="after")
    def _chosen(self) -> ExpertsConfig:
        if self.top_k > self.count:
            raise ValueError(f"experts.top_k = {self.top_k}: there are {self.count} experts to choose from")
        return self

    def in_layer(self, layer: int) -> bool:
        """Whether the block of this number, counted from 0, has experts."""
        return layer not in self.dense_layers and (layer + 1) % self.sparse_step == 0

    def layers(self, depth: int) -> int:
        """Blocks with experts among so many."""
        return sum(map(self.in_layer, range(depth)))

    def build(self, width: int) -> Mixture:
        """The part of one block."""
        from tessera.nn.experts.mixture import Mixture, clamped_gate, silu_gate

        gate = silu_gate if self.gate == "silu" else clamped_gate(self.alpha, self.limit)
        return Mixture(width, self.intermediate_size, self.count, self.top_k, self.shares, gate, self.bias)

    def weights(self, width: int) -> Weights:
        """Weights of one block's part."""
        router = Weights(self.count * (width + self.bias))
        return router + self.of_one(width) * self.count

    def active(self, width: int) -> int:
        """Weights of one block's part that a token meets."""
        return self.count * (width + self.bias) + self.top_k * self.of_one(width).total

    def of_one(self, width: int) -> Weights:
        """Weights of one expert."""
        inner = self.intermediate_size
        return matrix(2 * inner, width, self.bias) + matrix(width, inner, self.bias)
