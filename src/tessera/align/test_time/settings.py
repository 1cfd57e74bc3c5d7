"""How candidates are sampled: as VLMEvalKit does for best-of-N (docs/test_time.md)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tessera.align.asking import AnswerSampling


class CandidateSampling(AnswerSampling):
    """Warm, but for the first candidate."""

    temperature: float = Field(default=0.7, ge=0, le=10, allow_inf_nan=False)
    top_k: int = Field(default=0, ge=0)
    """0 is off"""
    top_p: float = Field(default=0.95, gt=0, le=1)
    greedy_first: bool = True
    """the first candidate takes the best tokens, as without selection; the others are drawn"""

    def body(self, messages: list[dict[str, Any]], *place: str | int) -> dict[str, Any]:
        """A request for one candidate; the last number of its place tells which."""
        body = super().body(messages, *place)
        return body | {"temperature": 0.0} if self.greedy_first and place[-1] == 0 else body
