"""What is asked of the engine and what comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import field_validator

from tessera.runtime.config import Config

T = TypeVar("T")
Finish = Literal["stop", "length"]


class Sampling(Config):
    """How the next token is chosen and when an answer ends."""

    max_new_tokens: int = 64
    """Most tokens of an answer; the answer then finishes with "length"."""
    temperature: float = 0.0
    """0 takes the best token (greedy); higher values flatten the distribution."""
    top_k: int = 0
    """Only the k best tokens; 0 is off."""
    top_p: float = 1.0
    """Only the smallest set of best tokens whose probabilities reach p; 1 is off."""
    repetition_penalty: float = 1.0
    """Scores of tokens in the prompt or the answer are divided (negative ones multiplied) by it; 1 is off."""
    seed: int = 0
    """Start of this request's own random stream; neighbours in a batch have no part in it."""
    stop: tuple[str, ...] = ()
    """Strings that end the answer; they are not part of it."""

    @field_validator("max_new_tokens")
    @classmethod
    def _some(cls, value: int) -> int:
        return _require(value >= 1, "max_new_tokens", value, "give at least 1")

    @field_validator("temperature")
    @classmethod
    def _not_negative(cls, value: float) -> float:
        fine = math.isfinite(value) and value >= 0
        return _require(fine, "temperature", value, "give 0 for greedy or a positive number")

    @field_validator("top_k")
    @classmethod
    def _count(cls, value: int) -> int:
        return _require(value >= 0, "top_k", value, "give 0 for off or at least 1")

    @field_validator("top_p")
    @classmethod
    def _share(cls, value: float) -> float:
        return _require(0 < value <= 1, "top_p", value, "give a share above 0 and up to 1")

    @field_validator("repetition_penalty")
    @classmethod
    def _positive(cls, value: float) -> float:
        fine = math.isfinite(value) and value > 0
        return _require(fine, "repetition_penalty", value, "give 1 for off or another positive number")

    @field_validator("seed")
    @classmethod
    def _seed(cls, value: int) -> int:
        return _require(0 <= value < 2**63, "seed", value, "give a number from 0 to 2^63 - 1")

    @field_validator("stop")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _require(
            "" not in value, "stop", value, "an empty string would end every answer: leave it out"
        )


def _require(fine: bool, name: str, value: T, remedy: str) -> T:
    if not fine:
        raise ValueError(f"{name} = {value!r}: {remedy}")
    return value


@dataclass(frozen=True)
class Completion:
    """An answer. `ids` are its tokens without the token that ended it; `text` is cut at a stop string."""

    text: str
    ids: tuple[int, ...]
    finish: Finish
    prompt_tokens: int
