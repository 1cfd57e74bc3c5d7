"""How rotary angles change for long contexts, as plain values: configs use them without torch."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tessera.runtime.config import Config

Stretch = Annotated[float, Field(gt=0, le=2**20)]
ScalingKind = Literal["linear", "dynamic", "llama3", "yarn", "longrope"]


class RopeScaling(Config):
    """How rotary positions change for long contexts; names as in transformers' `rope_parameters`.

    Formulas: `nn.rope.rotary_tables`.
    """

    kind: ScalingKind
    factor: Stretch = 1.0
    """By how much the context grows. For yarn and longrope 1 means not given: the longest over the trained
    length, as in transformers."""
    original_max_position_embeddings: Annotated[int, Field(ge=2, le=2**40)] | None = None
    """Trained length, where it differs from `max_position_embeddings`."""
    attention_factor: Stretch | None = None
    """Scale of cosine and sine; None follows the kind's own rule."""
    short_factor: tuple[Stretch, ...] = ()
    long_factor: tuple[Stretch, ...] = ()
    """longrope: divisors of the frequencies up to and beyond the trained length, one per pair of channels."""
    low_freq_factor: Stretch = 1.0
    high_freq_factor: Stretch = 4.0
    beta_fast: Stretch = 32.0
    beta_slow: Stretch = 1.0
    truncate: bool = True
    """yarn: the borders of the blend are rounded outwards to whole channels (GPT-OSS: they are not)."""

    @model_validator(mode="after")
    def _sound(self) -> RopeScaling:
        if self.factor < 1:
            raise ValueError(f"rope_scaling.factor = {self.factor}: contexts grow by a factor of at least 1")
        if self.kind == "llama3" and self.low_freq_factor >= self.high_freq_factor:
            raise ValueError(
                f"rope_scaling.low_freq_factor = {self.low_freq_factor} must lie below high_freq_factor = "
                f"{self.high_freq_factor}"
            )
        return self

    @property
    def trained_length(self) -> int:
        """Positions up to which angles are as trained; `DecoderConfig.rotary_scaling` fills the number in."""
        if self.original_max_position_embeddings is None:
            raise ValueError("rope_scaling.original_max_position_embeddings is not given: fill it in")
        return self.original_max_position_embeddings

    @property
    def needs_reach(self) -> bool:
        """Whether angles depend on how long the sequence is."""
        return self.kind in ("dynamic", "longrope")

    @property
    def amplitude(self) -> float:
        """Factor of cosine and sine."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.factor <= 1 or self.kind not in ("yarn", "longrope"):
            return 1.0
        if self.kind == "yarn":
            return 0.1 * math.log(self.factor) + 1.0
        return math.sqrt(1 + math.log(self.factor) / math.log(self.trained_length))
