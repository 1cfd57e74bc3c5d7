"""How candidates are sampled: as VLMEvalKit does for best-of-N (docs/test_time.md)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tessera.align.asking import AnswerSampling

USUAL_TOKENS = 4096
"""Longest candidate where nobody says and there is room."""


class CandidateSampling(AnswerSampling):
    """Warm, but for the first candidate."""

    temperature: float = Field(default=0.7, ge=0, le=10, allow_inf_nan=False)
    """of all candidates but a greedy first one"""
    top_k: int = Field(default=0, ge=0)
    """0 is off"""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """the smallest set of best tokens that together reach it; 1 is off"""
    new_tokens: int | None = Field(default=None, ge=1)
    """of a candidate at most; None is 4,096, or as many as there is room for"""
    greedy_first: bool = True
    """the first candidate takes the best tokens, as without selection; the others are drawn"""

    def body(self, messages: list[dict[str, Any]], *place: str | int) -> dict[str, Any]:
        """A request for one candidate, whose number is the last of its place."""
        body = super().body(messages, *place)
        return body | {"temperature": 0.0} if self.greedy_first and place[-1] == 0 else body
