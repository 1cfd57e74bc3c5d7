"""POST /v1/chat/completions: its body, and its answer whole or in chunks."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

from pydantic import Field

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tool_calls import ToolCall, ToolUse
from tessera.engine.completion import TokenLogprob
from tessera.scoring.selection.responses import ChosenResponse
from tessera.serve.ask import AnswerForm, Ask
from tessera.serve.faults import bad_field, invalid, json_bytes
from tessera.serve.forms.fields import SampledBody, usage
from tessera.serve.forms.grammars import ResponseFormat, StructuredOutputs, grammar_of
from tessera.serve.forms.links import told_links
from tessera.serve.forms.selection import WARM, SelectionBody, told_selection
from tessera.serve.forms.stream import DONE, data
from tessera.serve.forms.tokens import TokenWriter
from tessera.serve.said import Delta, Said
from tessera.serve.settings import ServeSettings


class ChatBody(SampledBody):
    """A talk, and how its answer is chosen."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: list[Any] = []
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = ResponseFormat()
    structured_outputs: StructuredOutputs | None = None
    continue_final_message: bool = False
    """the last message is the beginning of the answer"""
    add_generation_prompt: bool | None = None
    """taken where it says what happens anyway"""
    echo: bool = False
    """the answer holds the beginning that the client gave, too"""
    max_tiles: int | None = Field(default=None, ge=1)
    """of a picture, in place of the model's own limit"""
    visual_increment: float | None = None
    """step of position from a visual token to the next (V2PE)"""
    selection: SelectionBody | None = None
    """the answer is one of several candidates (docs/test_time.md)"""

    @property
    def new_tokens(self) -> int | None:
        """Most tokens of the answer, under either name."""
        old, new = self.max_tokens, self.max_completion_tokens
        if old is not None and new is not None and old != new:
            raise bad_field("max_tokens", "max_completion_tokens says something else; give one")
        return old if new is None else new

    def check(self) -> None:
        """ApiFault for fields that do not go together."""
        if self.top_logprobs is not None and not self.logprobs:
            raise bad_field("top_logprobs", "needs logprobs = true beside it")
        if self.add_generation_prompt not in (None, not self.continue_final_message):
            raise bad_field("add_generation_prompt", "an answer is always asked for; leave it out")
        if self.selection is None:
            return
        if self.n != 1:
            raise bad_field("n", f"{self.n} beside selection, which tells one answer; give selection.n")
        if self.stream:
            raise bad_field("stream", "an answer is selected when all candidates are there; leave it out")
        if self.continue_final_message:
            raise bad_field("continue_final_message", "candidates are whole answers; leave it out")
        if self.temperature == 0:
            raise bad_field("temperature", "0 makes all candidates alike; leave it out, or give one above 0")

    @property
    def warm(self) -> dict[str, float]:
        """How candidates are sampled where the request says nothing."""
        given = self.model_fields_set
        return {} if self.selection is None else {name: WARM[name] for name in WARM if name not in given}


class ChatForm(AnswerForm):
    """One chat completion."""

    def __init__(self, body: ChatBody, settings: ServeSettings, tokenizer: Tokenizer) -> None:
        self._body, self._settings, self._tokens = body, settings, TokenWriter(tokenizer)
        self._head = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": body.model or settings.name,
            "system_fingerprint": None,
        }

    @cached_property
    def _use(self) -> ToolUse:
        body = self._body
        try:
            return ToolUse.read(body.tools, body.tool_choice, body.parallel_tool_calls)
        except ValueError as error:
            raise invalid(error) from error

    @cached_property
    def ask(self) -> Ask:
        """What is asked."""
        body = self._body
        body.check()
        asked = body.selection
        selection = None if asked is None else asked.asked(self._settings.critic)
        weighed = selection is not None and selection.rule.weighed
        options = (
            body.options(self._settings.temperature)
            | body.warm
            | {
                "strip": True,
                "logprobs": (body.top_logprobs or 0) if body.logprobs or weighed else None,
                "grammar": grammar_of(body.response_format, body.structured_outputs, self._use),
                "continue_final_message": body.continue_final_message,
                "max_tiles": body.max_tiles,
                "visual_increment": body.visual_increment,
            }
        )
        shows_usage = body.stream_options is not None and body.stream_options.include_usage
        return Ask(
            messages=body.messages,
            tools=self._use,
            options=options,
            new_tokens=body.new_tokens,
            choices=body.n if body.selection is None else body.selection.n,
            streams=body.stream,
            usage=shows_usage,
            echo=body.echo,
            selection=selection,
        )

    def whole(self, said: Sequence[Said]) -> dict[str, Any]:
        """The `chat.completion` object."""
        choices = [
            {
                "index": one.index,
                "message": _message(one),
                "logprobs": self._logprobs(one.logprobs),
                "finish_reason": reason(one),
            }
            | told_links(one.links)
            for one in said
        ]
        counts = usage(said, self.ask.choices)
        return self._head | {"object": "chat.completion", "choices": choices, "usage": counts}

    def selected(self, said: Sequence[Said], chosen: ChosenResponse) -> dict[str, Any]:
        """The same with the chosen candidate alone; all of them are counted, and told in `selection`."""
        assert self.ask.selection is not None
        whole = self.whole(said)
        choice = whole["choices"][chosen.index] | {"index": 0}
        return whole | {"choices": [choice], "selection": told_selection(chosen, self.ask.selection)}

    def opening(self, said: Sequence[Said]) -> Iterator[bytes]:
        """The role of every choice."""
        for one in said:
            yield self._chunk(one.index, {"role": "assistant", "content": ""})

    def piece(self, said: Said, delta: Delta) -> Iterator[bytes]:
        """New words, if there are any; the reason to end comes alone, behind the last of them."""
        first = len(said.calls) - len(delta.calls)
        words = {"content": delta.words} if delta.words else {}
        told: dict[str, Any] = words | _thought(delta.thought) | _calls(delta.calls, first)
        if told or delta.logprobs or delta.links:
            links = told_links(delta.links)
            yield self._chunk(
                said.index, told or {"content": ""}, self._logprobs(delta.logprobs), links=links
            )
        if delta.finish is not None:
            yield self._chunk(said.index, {}, finish=reason(said))

    def closing(self, said: Sequence[Said]) -> Iterator[bytes]:
        """Counts where they were asked for, and the end."""
        if self.ask.usage:
            counts = {"choices": [], "usage": usage(said, self.ask.choices)}
            yield data(self._head | {"object": "chat.completion.chunk"} | counts)
        yield DONE

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        logprobs: Any = None,
        finish: str | None = None,
        links: Mapping[str, Any] = MappingProxyType({}),
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish, **links}
        opening, closing = self._frame
        return opening + json_bytes(choice) + closing

    @cached_property
    def _frame(self) -> tuple[bytes, bytes]:
        """What stands around the choice of every chunk, written once: a stream has one for every token."""
        head = json_bytes(self._head | {"object": "chat.completion.chunk"}).removesuffix(b"}")
        counts = b',"usage":null' if self.ask.usage else b""
        return b"data: " + head + b',"choices":[', b"]" + counts + b"}\n\n"

    def _logprobs(self, found: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self._body.logprobs:
            return None
        return {"content": self._tokens.chat(found), "refusal": None}


def _thought(thought: str) -> dict[str, str]:
    """What the model thought before it spoke, where clients look for it; nothing where it did not."""
    return {"reasoning_content": thought} if thought else {}


def _message(said: Said) -> dict[str, Any]:
    words = said.words or (None if said.calls else "")
    calls = _calls(said.calls)
    return {"role": "assistant", "content": words, "refusal": None} | _thought(said.thought) | calls


def _calls(calls: Sequence[ToolCall], first: int | None = None) -> dict[str, list[dict[str, Any]]]:
    """Calls of functions where clients look for them. first: in streams, the number of the first one."""
    entries = []
    for number, call in enumerate(calls):
        function = {"name": call.name, "arguments": call.arguments}
        entry = {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
        entries.append(entry if first is None else {"index": first + number} | entry)
    return {"tool_calls": entries} if entries else {}


def reason(said: Said) -> str | None:
    """Why a choice ended, in OpenAI's words; "repetition" is ours."""
    return "tool_calls" if said.calls and said.finish == "stop" else said.finish
