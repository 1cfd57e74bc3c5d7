"""What a request may ask of the choice of its tokens, and how that is read from keywords."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self, TypedDict

from pydantic import ValidationError, field_validator, model_validator

from tessera.engine.hints import unknown_setting
from tessera.engine.sampling.grammar import Grammar
from tessera.engine.sampling.loops import LoopRule
from tessera.runtime.config import Config, first_fault
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown

CARD_TOP_K = 50
"""What `do_sample=True` draws from in the cards' library when no top_k is given."""
MOST_LOGPROBS = 20
"""Most alternatives that are told beside a token, as in OpenAI's API."""


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
    min_p: float = 0.0
    """Only tokens that are at least so likely in proportion to the likeliest one; 0 is off."""
    repetition_penalty: float = 1.0
    """Scores of tokens in the prompt or the answer are divided (negative ones multiplied) by it; 1 is off."""
    presence_penalty: float = 0.0
    """Taken off the scores of tokens that the answer holds already; 0 is off."""
    frequency_penalty: float = 0.0
    """Taken off the score of a token once for every time that the answer holds it; 0 is off."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """(token id, what is added to its score): -100 forbids it in effect, 100 leaves nothing else."""
    seed: int = 0
    """Start of this request's own random stream; neighbours in a batch have no part in it."""
    stop: tuple[str, ...] = ()
    """Strings that end the answer; they are not part of it."""
    stop_token_ids: tuple[int, ...] = ()
    """Tokens that end the answer beside the model's own; they are not part of it."""
    min_new_tokens: int = 0
    """No token ends the answer before it has so many."""
    ignore_eos: bool = False
    """The model's own tokens of ending do not end the answer: for measurements of fixed length."""
    logprobs: int | None = None
    """Tell how likely every token was, and so many of the best in its place; None does not."""
    grammar: Grammar | None = None
    """The form that the answer must have: JSON after a schema, a regular expression, choices."""
    end_loops: LoopRule | None = None
    """End an answer that repeats itself, with "repetition"; True takes the rule's defaults, None is off."""
    strip: bool = False
    """White space around the answer is dropped."""
    begun: str = ""
    """Words that the prompt ends with and that belong to the answer."""

    @field_validator("logit_bias", mode="before")
    @classmethod
    def _pairs(cls, given: Any) -> Any:
        """A mapping from ids to numbers, as OpenAI's clients send it, as pairs."""
        return tuple(given.items()) if isinstance(given, Mapping) else given

    @field_validator("end_loops", mode="before")
    @classmethod
    def _switched(cls, given: Any) -> Any:
        """On and off in one word."""
        return (LoopRule() if given else None) if isinstance(given, bool) else given

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        for name, (fits, remedy) in RANGES.items():
            if not fits(value := getattr(self, name)):
                raise ValueError(f"{name} = {shown(value)}: {remedy}")
        if self.ignore_eos and self.grammar:
            raise ValueError("ignore_eos: an answer with a grammar ends where the grammar does; leave it out")
        if self.min_new_tokens and self.grammar:
            raise ValueError("min_new_tokens: an answer with a grammar ends where the grammar does")
        if self.min_new_tokens > self.max_new_tokens:
            told = f"min_new_tokens = {self.min_new_tokens}: more than max_new_tokens = {self.max_new_tokens}"
            raise ValueError(f"{told}; give fewer")
        return self

    @property
    def greedy(self) -> bool:
        """Whether the best token is taken and nothing is drawn."""
        return self.temperature == 0.0

    def several(self, count: int, greedy_first: bool = False) -> list[Self]:
        """For so many answers to one question: the first as if alone, the others with seeds of their own.

        greedy_first: the first takes the best tokens.
        """
        seeds = [self.seed, *(derive_seed("choice", self.seed, number) for number in range(1, count))]
        made = [self.model_copy(update={"seed": seed}) for seed in seeds]
        return [made[0].model_copy(update={"temperature": 0.0}), *made[1:]] if greedy_first else made

    def ending(self, stop_ids: frozenset[int]) -> frozenset[int]:
        """The tokens that end this answer; `stop_ids` are the model's own."""
        return frozenset(self.stop_token_ids) | (frozenset() if self.ignore_eos else stop_ids)


RANGES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "max_new_tokens": (lambda count: count >= 1, "give at least 1"),
    "min_new_tokens": (lambda count: count >= 0, "give 0 for off or a number of tokens"),
    "temperature": (lambda heat: 0 <= heat < math.inf, "give 0 for greedy or a positive number"),
    "top_k": (lambda count: count >= 0, "give 0 for off or at least 1"),
    "top_p": (lambda share: 0 < share <= 1, "give a share above 0 and up to 1"),
    "min_p": (lambda share: 0 <= share <= 1, "give a share from 0 (off) to 1"),
    "repetition_penalty": (
        lambda factor: 0.01 <= factor <= 100,
        "give 1 for off or another number from 0.01 to 100",
    ),
    "presence_penalty": (lambda amount: abs(amount) <= 2, "give a number from -2 to 2"),
    "frequency_penalty": (lambda amount: abs(amount) <= 2, "give a number from -2 to 2"),
    "logit_bias": (
        lambda pairs: all(abs(amount) <= 100 for _, amount in pairs) and len(dict(pairs)) == len(pairs),
        "give every token once, with a number from -100 to 100",
    ),
    "seed": (lambda seed: 0 <= seed < 2**63, "give a number from 0 to 2^63 - 1"),
    "stop": (lambda stops: "" not in stops, "an empty string would end every answer: leave it out"),
    "logprobs": (
        lambda count: count is None or 0 <= count <= MOST_LOGPROBS,
        f"give a number from 0 to {MOST_LOGPROBS}, or None",
    ),
}
"""Field of `Sampling` -> what its value must meet (NaN meets nothing), and the remedy."""


class SamplingOptions(TypedDict, total=False):
    """Keywords of `ChatModel.chat`, `stream` and `batch`; fields of `Sampling` and the cards' own words."""

    max_new_tokens: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int, float]
    seed: int
    stop: tuple[str, ...]
    stop_token_ids: tuple[int, ...]
    min_new_tokens: int
    ignore_eos: bool
    logprobs: int | None
    grammar: Grammar | Mapping[str, Any] | None
    end_loops: LoopRule | Mapping[str, int] | bool | None
    do_sample: bool
    num_beams: int
    strip: bool


def read_sampling(options: Mapping[str, Any], beside: Collection[str] = ()) -> Sampling:
    """The sampling that keywords ask for; ValueError names a keyword that is unknown or out of range.

    Without `do_sample` the temperature alone decides (0, the default, takes the best token). With it the
    words mean what they mean on the model cards: False is greedy whatever the temperature, True draws at
    temperature 1 from the 50 best tokens unless told otherwise. beside: what else the call knows, for hints.
    """
    fields = dict(options)
    drawn = fields.pop("do_sample", None)
    if (beams := fields.pop("num_beams", 1)) != 1:
        raise ValueError(f"num_beams = {beams}: beam search is not offered; leave it out")
    if drawn is True:
        fields = {"temperature": 1.0, "top_k": CARD_TOP_K} | fields
    elif drawn is False:
        fields |= {"temperature": 0.0}
    if isinstance(fields.get("stop"), str):
        fields["stop"] = (fields["stop"],)
    known = {*Sampling.model_fields, "do_sample"} - {"begun"}
    if unknown := sorted(set(fields) - known):
        raise unknown_setting(unknown[0], fields[unknown[0]], known | set(beside))
    try:
        return Sampling(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        own = first["msg"].removeprefix("Value error, ") if first["type"] == "value_error" else None
        raise ValueError(own or first_fault(error)) from error
