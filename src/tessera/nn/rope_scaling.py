"""How rotary angles change for long contexts, as plain values: configs use them without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

ScalingKind = Literal["linear", "dynamic", "llama3", "yarn", "longrope"]


@dataclass(frozen=True)
class Scaling:
    """How angles change for contexts longer than `trained_length` positions. Formulas: `rotary_tables`."""

    kind: ScalingKind
    trained_length: int
    factor: float = 1.0
    attention_factor: float | None = None
    """Scale of cosine and sine; None follows the kind's own rule."""
    short_factor: tuple[float, ...] = ()
    long_factor: tuple[float, ...] = ()
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0

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
