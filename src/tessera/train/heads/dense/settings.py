"""How a dense head is trained and asked; the defaults are those of the published linear head."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from tessera.models.config import VisionConfig
from tessera.runtime.config import Config
from tessera.train.heads.dense.views import ViewConfig
from tessera.train.update.rules import Rule

LINEAR_PLACE = 45 / 48
"""Share of the depth at which the published linear head reads: state 45 of 48 layers."""


class DenseConfig(Config):
    """A run of a head on a vision encoder."""

    head: Literal["linear", "upernet"] = "linear"
    layers: tuple[int, ...] = ()
    """States that it reads, counted as in `tessera.load_vision`: one, or four for UperNet. Empty: the
    published ones in proportion to the depth, which are 45, or 12, 24, 36 and 48 of 48."""
    channels: int = Field(default=1536, gt=0)
    """Of UperNet."""
    beside: int = Field(default=2, ge=0, le=3)
    """Level of UperNet that its second head reads."""
    second_weight: float = Field(default=0.4, ge=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of UperNet's classifiers."""
    frozen: bool = True
    """Whether the encoder stays as it is."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Rate factor per block of the encoder, counted from the top."""
    weight_decay: float = Field(default=0.0, ge=0)
    rate: float = Field(default=4e-5, gt=0, allow_inf_nan=False)
    betas: tuple[float, float] = (0.9, 0.999)
    steps: int = Field(default=80_000, gt=0)
    warmup: int = Field(default=1500, ge=0)
    """Steps over which the rate grows from a millionth of itself; it falls linearly to 0 all the way."""
    batch: int = Field(default=16, gt=0)
    views: ViewConfig = ViewConfig()
    window: int | None = Field(default=504, gt=0)
    """Side of what is asked at once; None asks a picture whole."""
    stride: int = Field(default=322, gt=0)
    save_every: int = Field(default=1000, gt=0)
    """Steps between states that a run which was killed goes on with."""
    seed: int = 0

    @model_validator(mode="after")
    def _fits(self) -> DenseConfig:
        wanted = 1 if self.head == "linear" else 4
        if self.layers and len(self.layers) != wanted:
            raise ValueError(f"layers = {self.layers}: the head {self.head!r} reads {wanted}")
        if self.window is not None and self.stride > self.window:
            raise ValueError(
                f"stride = {self.stride} is more than window = {self.window}: pixels would be missed"
            )
        if self.head == "upernet" and self.batch < 2:
            raise ValueError("batch = 1: UperNet's coarsest average normalises over pictures; give 2 or more")
        if self.frozen and (self.drop_path or self.layer_decay != 1):
            raise ValueError("frozen: drop_path and layer_decay are those of an encoder that learns")
        return self

    def states(self, vision: VisionConfig) -> tuple[int, ...]:
        """Numbers of the states that the head reads of an encoder. ValueError for one it doesn't have."""
        depth = vision.num_hidden_layers
        if self.layers:
            if odd := [one for one in self.layers if not -depth - 1 <= one <= depth]:
                raise ValueError(f"layers: {odd[0]} is none of this encoder's states 0..{depth}")
            return self.layers
        if self.head == "linear":
            return (math.ceil(LINEAR_PLACE * depth),)
        return tuple(math.ceil(depth * quarter / 4) for quarter in (1, 2, 3, 4))

    def require_patches(self, patch: int) -> None:
        """ValueError for sides that are no multiples of the patch."""
        sides = {"views.crop": self.views.crop, "window": self.window}
        for name, side in sides.items():
            if side is not None and side % patch:
                raise ValueError(f"{name} = {side} is no multiple of the patch, {patch}")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What learns, and how fast: the stages' own rules."""
        learns = {"learning_rate": self.rate, "weight_decay": self.weight_decay}
        encoder = Rule(
            pattern="^vision", **({} if self.frozen else learns | {"layer_decay": self.layer_decay})
        )
        return encoder, Rule(pattern="^head", **learns)

    def factor(self, step: int) -> float:
        """Of the rate in step 0 .. steps - 1: mmcv's `poly` of power 1 behind a linear warm-up."""
        fallen = 1 - step / self.steps
        return fallen * (1 - (1 - step / self.warmup) * (1 - 1e-6)) if step < self.warmup else fallen
