"""Configs of LLaVA's form (docs/facts/llava.md)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from tessera.models.accounting import Weights
from tessera.models.config import IMAGENET_MEAN, VLMConfig

if TYPE_CHECKING:
    from torch import nn

RED, GREEN, BLUE = (int(255 * value) for value in IMAGENET_MEAN)
FILL = (RED, GREEN, BLUE)
"""Colour around a padded picture: the mean of the pixels, rounded down."""
PROJECTORS = "linear, mlp2x_gelu or mlp2x_gelu_ln"
PROJECTOR = re.compile(r"mlp([1-9])x_gelu(_ln)?")


class LlavaConfig(VLMConfig):
    """InternViT, one token a patch through an MLP, and a decoder."""

    downsample_ratio: Annotated[float, Field(ge=1, le=1)] = 1.0
    projector: str = "mlp2x_gelu"
    """`mm_projector_type`: so many linears with GELU between them, `_ln` with a LayerNorm in front; `linear`
    is one."""
    vision_tower: str = ""
    """`mm_vision_tower`: where the authors' code looks for the ViT's folder."""

    @field_validator("projector")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "linear" and not PROJECTOR.fullmatch(value):
            raise ValueError(f"{value!r} is unknown: choose {PROJECTORS}")
        return value

    @property
    def projector_layers(self) -> tuple[int, bool]:
        """How many linears, and whether a LayerNorm is in front."""
        found = PROJECTOR.fullmatch(self.projector)
        return (int(found[1]), found[2] is not None) if found else (1, False)

    def describe_parts(self) -> dict[str, str]:
        """Every patch is a token."""
        depth, norm = self.projector_layers
        layers = f"{depth} layers" if depth > 1 else "one layer"
        widths = f"{self.vision.hidden_size} to {self.decoder.hidden_size} channels in {layers}"
        return super().describe_parts() | {"connector": f"a token a patch, {widths}{' behind a norm' * norm}"}

    def build_parts(self) -> dict[str, nn.Module]:
        """InternViT read at `select_layer`, LLaVA's projector, and the decoder."""
        from tessera.models.connectors.projector import Projector
        from tessera.models.decoder import Decoder
        from tessera.models.vision.internvit import VisionTransformer

        widths = self.vision.hidden_size, self.decoder.hidden_size
        return {
            "vision": VisionTransformer(self.vision, self.select_layer),
            "connector": Projector(*widths, *self.projector_layers),
            "decoder": Decoder(self.decoder),
        }

    def part_weights(self) -> dict[str, Weights]:
        """Every linear has a bias."""
        seen, width = self.vision.hidden_size, self.decoder.hidden_size
        depth, norm = self.projector_layers
        connector = Weights(2 * seen * norm + seen * width + width + (depth - 1) * (width**2 + width))
        return super().part_weights() | {"connector": connector}
