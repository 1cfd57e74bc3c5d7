"""POST /v1/completions: raw prompts, texts or ids, without a template."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from tessera.chat.tokenizer import Tokenizer
from tessera.engine.completion import TokenLogprob
from tessera.serve.ask import AnswerForm, Ask, RawPrompt
from tessera.serve.faults import bad_field
from tessera.serve.forms.fields import SampledBody, usage
from tessera.serve.forms.stream import DONE, data
from tessera.serve.forms.tokens import TokenWriter
from tessera.serve.said import Delta, Said
from tessera.serve.settings import ServeSettings


class CompletionBody(SampledBody):
    """Prompts, and how what follows them is chosen."""

    prompt: str | list[str] | list[int] | list[list[int]]
    max_tokens: int = Field(default=16, ge=1)
    logprobs: int | None = Field(default=None, ge=0, le=20)
    echo: bool = False
    """the answer begins with the prompt; not with logprobs"""
    best_of: int | None = None
    suffix: Literal[""] = ""
    """taken where it is empty: nothing can be put in between"""

    @property
    def prompts(self) -> tuple[RawPrompt, ...]:
        """Every prompt, a text or ids."""
        given = self.prompt
        if isinstance(given, str):
            return (given,)
        ids = tuple(one for one in given if isinstance(one, int))
        listed = (one if isinstance(one, str) else tuple(one) for one in given if not isinstance(one, int))
        return (ids,) if ids else tuple(listed)


class CompletionForm(AnswerForm):
    """One text completion: choices of the first prompt, then of the next."""

    def __init__(self, body: CompletionBody, settings: ServeSettings, tokenizer: Tokenizer) -> None:
        self._body, self._settings, self._tokens = body, settings, TokenWriter(tokenizer)
        self._head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": body.model or settings.name,
            "system_fingerprint": None,
        }
        self._offsets: dict[int, int] = {}

    @cached_property
    def ask(self) -> Ask:
        """What is asked."""
        body = self._body
        if body.best_of not in (None, body.n):
            raise bad_field("best_of", "answers are not ranked here; leave it out")
        if body.echo and body.logprobs is not None:
            raise bad_field("logprobs", "those of a prompt (echo) are not told; leave one of them out")
        if not body.prompts:
            raise bad_field("prompt", "is empty; give a text or ids")
        shows_usage = body.stream_options is not None and body.stream_options.include_usage
        return Ask(
            prompts=body.prompts,
            options=body.options(self._settings.temperature) | {"logprobs": body.logprobs},
            new_tokens=body.max_tokens,
            choices=body.n,
            streams=body.stream,
            usage=shows_usage,
            echo=body.echo,
        )

    def whole(self, said: Sequence[Said]) -> dict[str, Any]:
        """The `text_completion` object."""
        choices = [self._choice(one, one.prompt + one.words, one.logprobs, one.finish) for one in said]
        return self._head | {"choices": choices, "usage": usage(said, self.ask.choices)}

    def opening(self, said: Sequence[Said]) -> Iterator[bytes]:
        """The prompts, where they are repeated."""
        for one in said:
            if one.prompt:
                yield self._chunk(self._choice(one, one.prompt))

    def piece(self, said: Said, delta: Delta) -> Iterator[bytes]:
        """New words, if there are any, and the reason to end."""
        if delta.words or delta.logprobs or delta.finish:
            yield self._chunk(self._choice(said, delta.words, delta.logprobs, delta.finish))

    def closing(self, said: Sequence[Said]) -> Iterator[bytes]:
        """Counts where they were asked for, and the end."""
        if self.ask.usage:
            yield data(self._head | {"choices": [], "usage": usage(said, self.ask.choices)})
        yield DONE

    def _chunk(self, choice: dict[str, Any]) -> bytes:
        return data(self._head | {"choices": [choice]} | ({"usage": None} if self.ask.usage else {}))

    def _choice(
        self, said: Said, text: str, logprobs: Sequence[TokenLogprob] = (), finish: str | None = None
    ) -> dict[str, Any]:
        told = None
        if self._body.logprobs is not None:
            told = self._tokens.completion(logprobs, self._offsets.get(said.index, 0))
            self._offsets[said.index] = self._offsets.get(said.index, 0) + self._tokens.width(logprobs)
        return {"index": said.index, "text": text, "logprobs": told, "finish_reason": finish}
