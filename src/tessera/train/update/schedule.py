"""Learning-rate factors over a stage."""

import math
from typing import Literal

from pydantic import Field, field_validator

from tessera.runtime.config import Config


class Schedule(Config):
    """Warm-up to 1, then a shape down to `floor`."""

    kind: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: int | float = Field(default=0.03, ge=0, allow_inf_nan=False)
    """Steps when an integer, a share of the stage when a fraction below 1."""
    floor: float = Field(default=0.0, ge=0, le=1)
    """Factor at the last step."""
    hold: float = Field(default=0.0, ge=0, le=1)
    """Share of the stage, after warm-up, that stays at 1 before the descent begins."""
    horizon: int | None = Field(default=None, gt=0)
    """Steps over which the shape is laid when the stage ends earlier; None means the stage itself."""

    @field_validator("warmup")
    @classmethod
    def _steps_or_share(cls, warmup: float) -> float:
        if isinstance(warmup, float) and warmup >= 1:
            raise ValueError("a fraction is a share of the stage, below 1; write steps as an integer")
        return warmup

    def factor(self, step: int, steps: int) -> float:
        """Factor for step 0 .. steps - 1 of a stage of `steps`."""
        steps = self.horizon or steps
        warmup = self.warmup if isinstance(self.warmup, int) else math.ceil(self.warmup * steps)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        start = warmup + self.hold * steps
        if self.kind == "constant" or step < start:
            return 1.0
        progress = min(1.0, (step - start) / max(1.0, steps - start))
        shape = 0.5 * (1 + math.cos(math.pi * progress)) if self.kind == "cosine" else 1 - progress
        return self.floor + (1 - self.floor) * shape
