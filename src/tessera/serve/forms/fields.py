"""Fields that the bodies of several endpoints share, and what they ask of the engine."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tessera.runtime.shown import shown
from tessera.serve.faults import ApiFault, bad_field, invalid
from tessera.serve.said import Said

HARMLESS = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"}
    | {"prompt_cache_retention"}
)
"""Fields that change no answer here: taken, left alone, and named in the header `x-ignored`."""
MOST_STOPS, LONGEST_STOP = 16, 256

Body = TypeVar("Body", bound="SampledBody")


class StreamOptions(BaseModel):
    """What a stream tells beside the answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    include_usage: bool = False
    include_obfuscation: bool = False
    """taken and without effect: nothing is padded here"""


class SampledBody(BaseModel):
    """How answers are chosen. Names and meanings are OpenAI's; those that it lacks are vLLM's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: str | None = None
    temperature: float | None = None
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[str, float] = {}
    seed: int | None = None
    stop: str | list[str] = []
    stop_token_ids: list[int] = []
    min_tokens: int = 0
    """no token ends the answer before it has so many"""
    ignore_eos: bool = False
    end_loops: bool = False
    """end an answer that repeats itself, with the reason "repetition" """
    n: int = Field(default=1, ge=1)
    stream: bool = False
    stream_options: StreamOptions | None = None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """From what a client sent: fields that are null count as left out. ApiFault names what is wrong."""
        given = {name: value for name, value in body.items() if value is not None and name not in HARMLESS}
        for name in given:
            if name not in cls.model_fields:
                near = get_close_matches(name, cls.model_fields, 1, cutoff=0.75)
                hint = f"did you mean {near[0]}?" if near else "leave it out"
                message = f"{shown(name)} is no field of this endpoint; {hint}"
                raise ApiFault(400, message, "unknown_field", shown(name, bare=True))
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise invalid(error) from error

    def options(self, temperature: float) -> dict[str, Any]:
        """Keywords of `Sampling`; `temperature` is the server's own, for requests that give none.

        Without a seed every request draws another answer.
        """
        stops = [self.stop] if isinstance(self.stop, str) else self.stop
        if len(stops) > MOST_STOPS or any(not 1 <= len(stop) <= LONGEST_STOP for stop in stops):
            raise bad_field("stop", f"give at most {MOST_STOPS} strings of 1 to {LONGEST_STOP} characters")
        return {
            "temperature": temperature if self.temperature is None else self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repetition_penalty": self.repetition_penalty,
            "logit_bias": self._bias(),
            "seed": secrets.randbelow(2**63) if self.seed is None else self.seed,
            "stop": tuple(stops),
            "stop_token_ids": tuple(self.stop_token_ids),
            "min_new_tokens": self.min_tokens,
            "ignore_eos": self.ignore_eos,
            "end_loops": self.end_loops,
        }

    def _bias(self) -> dict[int, float]:
        """Token id -> what is added to its score; JSON has texts in the place of ids."""
        try:
            return {int(token): amount for token, amount in self.logit_bias.items()}
        except ValueError as error:
            raise bad_field("logit_bias", "the names are ids of tokens, such as '42'") from error


def usage(said: Sequence[Said], choices: int = 1) -> dict[str, Any]:
    """Counts of tokens as clients read them. A prompt counts once, however many choices it has."""
    prompts = sum(one.prompt_tokens for one in said[::choices])
    answers = sum(one.tokens for one in said)
    return {
        "prompt_tokens": prompts,
        "completion_tokens": answers,
        "total_tokens": prompts + answers,
        "prompt_tokens_details": {"cached_tokens": sum(one.found_tokens for one in said[::choices])},
        "completion_tokens_details": {"reasoning_tokens": sum(one.thought_tokens for one in said)},
    }
