"""Items of the Responses API: those that a client sends as messages, and those of an answer as they grow."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tessera.chat.tool_calls import ToolCall
from tessera.runtime.shown import shown
from tessera.serve.faults import bad_field

Item = dict[str, Any]


def as_messages(given: str | Sequence[Any], instructions: str | None) -> list[Item]:
    """The `input` of a request as messages of a chat; `instructions` are its system text.

    A thought that comes back is left out. ApiFault for an item of another kind.
    """
    found: list[Item] = [] if instructions is None else [{"role": "system", "content": instructions}]
    if isinstance(given, str):
        return [*found, {"role": "user", "content": given}]
    for number, item in enumerate(given):
        told = item if isinstance(item, Mapping) else {}
        kind = told.get("type", "message")
        if kind == "message":
            rest = {name: told[name] for name in told if name not in ("type", "id", "status", "phase")}
            found.append(rest | {"content": _parts(told.get("content"))})
        elif kind == "function_call":
            call = {"function": {"name": told.get("name"), "arguments": told.get("arguments")}}
            if not found or not found[-1].get("tool_calls"):
                found.append({"role": "assistant", "content": None, "tool_calls": []})
            found[-1]["tool_calls"].append(call)
        elif kind == "function_call_output":
            found.append({"role": "tool", "content": told.get("output")})
        elif kind != "reasoning":
            what = "give message, function_call, function_call_output or reasoning"
            raise bad_field(f"input[{number}].type", f"{shown(kind)} is not understood; {what}")
    if not found:
        raise bad_field("input", "says nothing; give a text or messages")
    return found


def _parts(content: Any) -> Any:
    """The parts of a message; answers come back with fields that mean nothing in a prompt."""
    if not isinstance(content, list):
        return content
    return [
        {name: part[name] for name in part if name != "logprobs"} if isinstance(part, Mapping) else part
        for part in content
    ]


class ResponseItems:
    """The output of one answer, and the events that tell how it grows.

    An item is done when another begins, but for the message, whose words may go on behind calls.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._thought: Item | None = None
        self._message: Item | None = None

    def think(self, text: str) -> Iterator[Item]:
        """The model thinks."""
        if self._thought is None:
            part = {"type": "reasoning_text", "text": ""}
            self._thought = self._new("rs", type="reasoning", summary=[], content=[part])
            yield self._event("response.output_item.added", self._thought, item=self._thought)
        self._thought["content"][0]["text"] += text
        yield self._part("response.reasoning_text.delta", self._thought, delta=text)

    def say(self, text: str, logprobs: list[Any]) -> Iterator[Item]:
        """Words of the answer."""
        if self._message is None:
            yield from self._thought_over()
            self._message = self._new("msg", type="message", role="assistant", content=[])
            yield self._event("response.output_item.added", self._message, item=self._message)
            part: Item = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            self._message["content"].append(part)
            yield self._part("response.content_part.added", self._message, part=part)
        part = self._message["content"][0]
        part["text"] += text
        part["logprobs"] += logprobs
        yield self._part("response.output_text.delta", self._message, delta=text, logprobs=logprobs)

    def call(self, call: ToolCall) -> Iterator[Item]:
        """A call, whole at once."""
        yield from self._thought_over()
        names = {"call_id": f"call_{secrets.token_hex(12)}", "name": call.name}
        item = self._new("fc", type="function_call", **names, arguments="")
        yield self._event("response.output_item.added", item, item=item)
        item["arguments"] = call.arguments
        where = {"output_index": self.items.index(item), "item_id": item["id"]}
        yield {"type": "response.function_call_arguments.delta", **where, "delta": call.arguments}
        done = {"name": call.name, "arguments": call.arguments}
        yield {"type": "response.function_call_arguments.done", **where, **done}
        yield from self._done(item)

    def end(self, whole: bool) -> Iterator[Item]:
        """The answer is over; `whole`: it was not cut off. One without words has an empty message."""
        if not self._message and not any(item["type"] == "function_call" for item in self.items):
            yield from self.say("", [])
        yield from self._thought_over()
        if self._message is not None:
            part = self._message["content"][0]
            told = {"text": part["text"], "logprobs": part["logprobs"]}
            yield self._part("response.output_text.done", self._message, **told)
            yield self._part("response.content_part.done", self._message, part=part)
            yield from self._done(self._message, "completed" if whole else "incomplete")

    def _thought_over(self) -> Iterator[Item]:
        if self._thought is not None and self._thought["status"] == "in_progress":
            text = self._thought["content"][0]["text"]
            yield self._part("response.reasoning_text.done", self._thought, text=text)
            yield from self._done(self._thought)

    def _new(self, kind: str, **fields: Any) -> Item:
        item = {"id": f"{kind}_{secrets.token_hex(12)}", "status": "in_progress", **fields}
        self.items.append(item)
        return item

    def _done(self, item: Item, status: str = "completed") -> Iterator[Item]:
        item["status"] = status
        yield self._event("response.output_item.done", item, item=item)

    def _event(self, kind: str, of: Item, **fields: Any) -> Item:
        return {"type": kind, "output_index": self.items.index(of), **fields}

    def _part(self, kind: str, of: Item, **fields: Any) -> Item:
        return self._event(kind, of, item_id=of["id"], content_index=0, **fields)
