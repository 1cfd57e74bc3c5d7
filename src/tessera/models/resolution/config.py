"""The visual resolution router as plain values (docs/facts/moe.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from tessera.models.accounting import Weights
from tessera.runtime.config import Config

if TYPE_CHECKING:
    from torch import nn

    from tessera.models.config import VLMConfig

Share = Annotated[float, Field(ge=0, le=1)]
ROUNDS = 4


class ResolutionConfig(Config):
    """When a tile becomes a quarter of the tokens: its probability of that is above the quantile
    `relative_threshold` of all tiles of a prompt and at least `absolute_threshold`."""

    relative_threshold: Share = 0.1
    """`flash_relative_threshold`: at least this share of a prompt's tiles stays fine."""
    absolute_threshold: Share = 0.5
    """`flash_absolute_threshold`."""
    heads: Annotated[int, Field(ge=1, le=1024)] = 16
    """Of the router's attention."""
    expansion: Annotated[int, Field(ge=1, le=64)] = 4
    """Inner width of its feed-forward blocks over the ViT's."""
    rounds: tuple[int, int, int, int] = (1, 2, 2, 2)
    """Which of its four attentions each round takes: the released code takes the second three times."""

    @model_validator(mode="after")
    def _known_rounds(self) -> ResolutionConfig:
        if not set(self.rounds) <= {1, 2, 3, 4}:
            raise ValueError(f"rounds = {self.rounds}: there are attentions 1 to 4")
        return self

    def described(self, tokens: int) -> dict[str, str]:
        """A line about each of its parts, for people; `tokens` of a coarse tile."""
        rule = f"above the quantile {self.relative_threshold} and {self.absolute_threshold}"
        return {
            "coarse": f"{tokens} tokens a tile, where the router says so",
            "router": f"a tile is coarse where its chance is {rule}",
        }

    def build(self, seen: int, width: int, config: VLMConfig) -> dict[str, nn.Module]:
        """Its parts, for a ViT and a decoder of these widths."""
        from tessera.models.connectors.coarse import CoarseConnector
        from tessera.models.resolution.router import ResolutionRouter

        return {
            "coarse": CoarseConnector(seen, width, config.shuffle_factor**2, config.ps_version),
            "router": ResolutionRouter(seen, self),
        }

    def weights(self, seen: int, factor: int, width: int) -> dict[str, Weights]:
        """Of each part: a norm over the merged patches and three linears; a query, attentions, blocks."""
        merged, wide, inner = seen * factor**4, 2 * width, self.expansion * seen
        coarse = 2 * merged + merged * wide + wide + wide * wide + wide + wide * width + width
        pooling = seen + ROUNDS * (4 * seen * seen + 4 * seen + 2 * seen)
        gating = ROUNDS * (2 * seen * inner + inner + seen + 2 * seen) + 2 * seen + 2 * seen + 2
        return {"coarse": Weights(coarse), "router": Weights(pooling + gating)}
