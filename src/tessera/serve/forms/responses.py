"""POST /v1/responses, as far as clients need it: one answer, whole or as events; nothing is stored."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Literal

from pydantic import BaseModel, Field

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tool_calls import ToolUse
from tessera.serve.ask import AnswerForm, Ask
from tessera.serve.faults import ApiFault, bad_field, invalid
from tessera.serve.forms.fields import SampledBody
from tessera.serve.forms.grammars import ANY_OBJECT, STRICT, NamedSchema, ResponseFormat, grammar_of
from tessera.serve.forms.response_items import ResponseItems, as_messages
from tessera.serve.forms.stream import event
from tessera.serve.forms.tokens import TokenWriter
from tessera.serve.said import Delta, Said
from tessera.serve.settings import ServeSettings

LOGPROBS = "message.output_text.logprobs"


class TextFormat(BaseModel):
    """`text.format`: the fields of a schema stand beside its type here."""

    model_config = STRICT
    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = ""
    description: str | None = None
    schema_: dict[str, Any] = Field(default=ANY_OBJECT, alias="schema")
    strict: bool | None = None

    @property
    def as_in_chat(self) -> ResponseFormat:
        """The same, as chat completions have it."""
        if self.type != "json_schema":
            return ResponseFormat(type=self.type)
        return ResponseFormat(type=self.type, json_schema=NamedSchema(name=self.name, schema=self.schema_))


class TextOptions(BaseModel):
    """`text`."""

    model_config = STRICT
    format: TextFormat = TextFormat()


class ResponseBody(SampledBody):
    """A request of the Responses API. Fields that would need a memory are taken where they are empty."""

    input: str | list[Any]
    instructions: str | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    text: TextOptions = TextOptions()
    tools: list[Any] = []
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True
    include: list[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] = []
    truncation: Literal["disabled"] = "disabled"
    background: Literal[False] = False


class ResponsesForm(AnswerForm):
    """One response. Its items and events are made from the same steps, whole or as a stream."""

    def __init__(self, body: ResponseBody, settings: ServeSettings, tokenizer: Tokenizer) -> None:
        self._body, self._settings, self._tokens = body, settings, TokenWriter(tokenizer)
        self._id, self._created = f"resp_{secrets.token_hex(12)}", int(time.time())
        self._items, self._number = ResponseItems(), 0

    @cached_property
    def ask(self) -> Ask:
        """What is asked."""
        body = self._body
        if body.n != 1:
            raise bad_field("n", "a response has one answer; leave it out")
        try:
            use = ToolUse.read(body.tools, body.tool_choice, body.parallel_tool_calls)
        except ValueError as error:
            raise invalid(error) from error
        told = body.top_logprobs is not None or LOGPROBS in body.include
        options = body.options(self._settings.temperature) | {
            "strip": True,
            "logprobs": (body.top_logprobs or 0) if told else None,
            "grammar": grammar_of(body.text.format.as_in_chat, None, use),
        }
        return Ask(
            messages=as_messages(body.input, body.instructions),
            tools=use,
            options=options,
            new_tokens=body.max_output_tokens,
            streams=body.stream,
        )

    def whole(self, said: Sequence[Said]) -> dict[str, Any]:
        """The `response` object."""
        (one,) = said
        everything = Delta(one.thought, one.words, tuple(one.calls), tuple(one.logprobs), one.finish)
        for _ in self._steps(everything):
            pass
        return self._response(one)

    def opening(self, said: Sequence[Said]) -> Iterator[bytes]:
        """The response, of which there is nothing yet."""
        for kind in ("response.created", "response.in_progress"):
            yield self._event({"type": kind, "response": self._response(said[0])})

    def piece(self, said: Said, delta: Delta) -> Iterator[bytes]:
        """The events of a step."""
        return map(self._event, self._steps(delta))

    def closing(self, said: Sequence[Said]) -> Iterator[bytes]:
        """The whole response."""
        response = self._response(said[0])
        yield self._event({"type": f"response.{response['status']}", "response": response})

    def broken(self, fault: ApiFault) -> Iterator[bytes]:
        """What a stream ends with when an answer fails."""
        yield self._event({"type": "error"} | fault.body["error"] | {"error": fault.body["error"]})

    def _steps(self, delta: Delta) -> Iterator[dict[str, Any]]:
        items, logprobs = self._items, self._tokens.chat(delta.logprobs)
        return chain(
            items.think(delta.thought) if delta.thought else (),
            items.say(delta.words, logprobs) if delta.words else (),
            *map(items.call, delta.calls),
            items.end(delta.finish == "stop") if delta.finish is not None else (),
        )

    def _event(self, value: dict[str, Any]) -> bytes:
        told = event(value | {"sequence_number": self._number})
        self._number += 1
        return told

    def _response(self, said: Said) -> dict[str, Any]:
        """The response as far as it has come."""
        body, cut = self._body, said.finish not in (None, "stop")
        why = "max_output_tokens" if said.finish == "length" else said.finish
        status = "in_progress" if said.finish is None else "incomplete" if cut else "completed"
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "model": body.model or self._settings.name,
            "output": self._items.items,
            "error": None,
            "incomplete_details": {"reason": why} if cut else None,
            "usage": None if said.finish is None else _usage(said),
            **body.model_dump(include=ECHOED, by_alias=True),
            "store": False,
            "previous_response_id": None,
            "metadata": {},
        }


ECHOED = {"instructions", "max_output_tokens", "temperature", "top_p", "text", "tools", "tool_choice"} | {
    "parallel_tool_calls",
    "truncation",
    "background",
}
"""Fields of a request that its response repeats."""


def _usage(said: Said) -> dict[str, Any]:
    """Counts of tokens."""
    return {
        "input_tokens": said.prompt_tokens,
        "input_tokens_details": {"cached_tokens": said.found_tokens},
        "output_tokens": said.tokens,
        "output_tokens_details": {"reasoning_tokens": said.thought_tokens},
        "total_tokens": said.prompt_tokens + said.tokens,
    }
