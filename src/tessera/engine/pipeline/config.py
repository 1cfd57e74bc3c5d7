"""`GenerationConfig` with LMDeploy's fields and defaults (`lmdeploy/messages.py`, 0.7 to 0.18)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tessera.engine.hints import unknown_setting
from tessera.engine.sampling.grammar import Grammar
from tessera.runtime.config import Config, first_fault
from tessera.runtime.shown import shown

FORBIDDEN = -100.0
"""Added to the score of a token that an answer may not hold."""


class GenerationConfig(Config):
    """How an answer is chosen. Without `do_sample` the best token is taken, whatever the temperature says.

    Raises ValueError for a name that LMDeploy does not have, and for what is not offered here.
    """

    n: int = 1
    """only 1, as there"""
    max_new_tokens: int = 512
    """most tokens of an answer; unless given, fewer where the context is nearly full"""
    min_new_tokens: int | None = None
    """no token ends the answer before it has so many"""
    do_sample: bool = False
    """draw tokens, in place of taking the best"""
    top_p: float = 1.0
    """only the smallest set of best tokens that reaches this probability"""
    top_k: int = 50
    """only so many of the best tokens; 0 is off"""
    min_p: float = 0.0
    """only tokens that are so likely in proportion to the best"""
    temperature: float = 0.8
    """higher values flatten the distribution; without effect unless `do_sample`"""
    repetition_penalty: float = 1.0
    """above 1: tokens of prompt and answer become less likely"""
    ignore_eos: bool = False
    """the model's own end does not end the answer"""
    random_seed: int | None = None
    """the same seed draws the same answer; None draws anew"""
    stop_words: tuple[str, ...] | None = None
    """texts that end the answer, and are no part of it"""
    stop_token_ids: tuple[int, ...] | None = None
    """tokens that do"""
    bad_token_ids: tuple[int, ...] | None = None
    """tokens that an answer may not hold"""
    logprobs: int | None = None
    """tell how likely every token was, and so many of the best in its place"""
    response_format: Mapping[str, Any] | None = None
    """`json_schema`, `json_object` or `regex_schema`"""

    def __init__(self, **given: Any) -> None:
        for name, value in list(given.items()):
            if name in NOT_OFFERED and value == NOT_OFFERED[name][0]:
                given.pop(name)
            elif name in NOT_OFFERED:
                raise ValueError(f"{name} = {shown(value)}: {NOT_OFFERED[name][1]}")
            elif name not in type(self).model_fields:
                raise unknown_setting(name, value, type(self).model_fields, {})
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ValueError(first_fault(error)) from error
        if self.n != 1:
            raise ValueError(f"n = {self.n}: only 1 is offered; ask several times with other seeds")

    def options(self) -> dict[str, Any]:
        """The same in the words of `ChatModel.prompt`; `max_new_tokens` only where it was given."""
        found: dict[str, Any] = {
            "repetition_penalty": self.repetition_penalty,
            "min_new_tokens": self.min_new_tokens or 0,
            "ignore_eos": self.ignore_eos,
            "stop": tuple(self.stop_words or ()),
            "stop_token_ids": tuple(self.stop_token_ids or ()),
            "logit_bias": dict.fromkeys(self.bad_token_ids or (), FORBIDDEN),
            "logprobs": self.logprobs,
            "grammar": grammar_of_format(self.response_format),
        }
        if "max_new_tokens" in self.model_fields_set:
            found["max_new_tokens"] = self.max_new_tokens
        if self.do_sample:
            names = ("temperature", "top_k", "top_p", "min_p")
            found |= {name: getattr(self, name) for name in names}
            found["seed"] = secrets.randbelow(2**63) if self.random_seed is None else self.random_seed
        return found


_OURS = "not offered here; leave it out"
NOT_OFFERED: Mapping[str, tuple[Any, str]] = {
    "bad_words": (None, "not offered here; give bad_token_ids"),
    "skip_special_tokens": (True, "open the model with content_tokens=... for tokens that answers show"),
    "spaces_between_special_tokens": (True, _OURS),
    "logits_processors": (None, _OURS),
    "output_logits": (None, "not offered here; logprobs tell how likely tokens were"),
    "output_last_hidden_state": (None, _OURS),
}
"""Field of LMDeploy -> the value that asks for nothing, and what to do about another one."""


def grammar_of_format(given: Mapping[str, Any] | None) -> Grammar | None:
    """The form that a `response_format` asks for. ValueError for one that is none of LMDeploy's."""
    match given:
        case None | {"type": "text"}:
            return None
        case {"type": "json_schema", "json_schema": {"schema": Mapping() as schema}}:
            fields: dict[str, Any] = {"json_schema": dict(schema)}
        case {"type": "json_object"}:
            fields = {"json_schema": {"type": "object"}}
        case {"type": "regex_schema", "regex_schema": str(regex)}:
            fields = {"regex": regex}
        case _:
            forms = "{'type': 'json_schema', 'json_schema': {'schema': ...}}, json_object or regex_schema"
            raise ValueError(f"response_format = {shown(given)}: give {forms}")
    try:
        return Grammar.model_validate(fields)
    except ValidationError as error:
        raise ValueError(f"response_format: {first_fault(error)}") from error
