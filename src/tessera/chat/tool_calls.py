r"""Functions that a model may call: told in its prompt, called in its answer, their results told back.

One form for all models, that of Qwen2.5 and Qwen3 (their chat templates): the functions stand in the system
text, a call is `<tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>` in the answer, and a result is
`<tool_response>\n...\n</tool_response>` in a user turn. Models of InternVL 2.5 to 3.5 that are built on Qwen
were taught it before they saw pictures. InternLM's own form needs tokens that InternVL's templates never
write, and the other language models have none: to these it is a text like any other, and a grammar holds them
to it where a call is required.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tessera.chat.message import Conversation, say
from tessera.runtime.shown import shown

OPEN, CLOSE = "<tool_call>", "</tool_call>"
PREFACE = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{}\n</tools>\n\n"
    "For each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{{"name": <function-name>, "arguments": <args-json-object>}}\n</tool_call>'
)
"""What the chat templates of Qwen2.5 and Qwen3 write behind the system text."""
RESULT = "<tool_response>\n", "\n</tool_response>"
NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Tool:
    """A function that may be called. `entry`: what the model is told, as JSON; `parameters`: their schema."""

    name: str
    entry: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """A call that an answer holds; `arguments` is the JSON of an object."""

    name: str
    arguments: str


@dataclass(frozen=True)
class ToolUse:
    """The functions of a request: those the model is told of, and those of which it must call one.

    forced: none where it may answer in words. several: whether it may call more than one.
    """

    tools: tuple[Tool, ...] = ()
    forced: tuple[Tool, ...] = ()
    several: bool = True

    @classmethod
    def read(cls, tools: Any, choice: Any = None, parallel: Any = None) -> ToolUse:
        """From OpenAI's `tools`, `tool_choice` and `parallel_tool_calls`, in the form of either of its APIs.

        Choice "none" tells the model of no function. ValueError names what is wrong.
        """
        known = tuple(_read_tools([] if tools is None else tools))
        if parallel is not None and not isinstance(parallel, bool):
            raise ValueError(f"parallel_tool_calls = {shown(parallel)}: give true or false")
        forced = _forced(choice, known)
        return cls(() if choice == "none" else known, forced, parallel is not False)

    def told(self, talk: Conversation, system_text: str) -> Conversation:
        """The conversation in which the model is told of them. system_text: the one where none is given."""
        if not self.tools:
            return talk
        first, *rest = talk.messages
        if first.role == "system":
            system_text = first.text
        else:
            rest = [first, *rest]
        preface = PREFACE.format("\n".join(tool.entry for tool in self.tools))
        return Conversation((say("system", "\n\n".join(filter(None, (system_text, preface)))), *rest))


def _read_tools(entries: Any) -> Iterator[Tool]:
    if not isinstance(entries, list | tuple):
        raise ValueError(f"tools = {shown(entries)}: give a list of functions")
    names = set()
    for number, entry in enumerate(entries):
        where = f"tools[{number}]"
        told = entry if isinstance(entry, Mapping) else {}
        if told.get("type") != "function":
            raise ValueError(f'{where}.type = {shown(told.get("type"))}: only "function" is known')
        nested = "function" in told
        function = told["function"] if nested else {k: v for k, v in told.items() if k != "type"}
        where += ".function" * nested
        if not isinstance(function, Mapping):
            raise ValueError(f"{where} = {shown(function)}: give an object with name and parameters")
        name, parameters = function.get("name"), function.get("parameters")
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in names:
            raise ValueError(
                f"{where}.name = {shown(name)}: give every function its own name of letters, digits, _ and -"
            )
        if parameters is not None and not isinstance(parameters, Mapping):
            raise ValueError(f"{where}.parameters = {shown(parameters)}: give a JSON schema")
        names.add(name)
        shape = NO_PARAMETERS if parameters is None else parameters
        yield Tool(name, _json({"type": "function", "function": function}), shape)


def _forced(choice: Any, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """The functions of which one must be called."""
    if choice is None or choice in ("none", "auto"):
        return ()
    if choice == "required":
        wanted = tools
    elif isinstance(choice, Mapping) and choice.get("type") == "function":
        function = choice.get("function", choice)
        name = function.get("name") if isinstance(function, Mapping) else None
        wanted = tuple(tool for tool in tools if tool.name == name)
    else:
        raise ValueError(
            f"tool_choice = {shown(choice)}: give none, auto, required or the name of a function"
        )
    if not wanted:
        names = ", ".join(tool.name for tool in tools) or "tools is empty"
        raise ValueError(f"tool_choice = {shown(choice)}: there is no such function; {names}")
    return wanted


def spelled(messages: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """OpenAI's messages with calls and results as text, each with its number; all others as they are.

    Results that follow one another stand in one user turn. ValueError names the message and what is wrong.
    """
    results: tuple[int, list[Any]] | None = None
    for number, entry in enumerate(messages):
        where = f"messages[{number}]"
        role = entry.get("role") if isinstance(entry, Mapping) else None
        if role == "tool":
            first, parts = results or (number, [])
            results = first, [*parts, *(["\n"] if parts else []), *_result(where, entry)]
            continue
        if results:
            yield results[0], {"role": "user", "content": results[1]}
            results = None
        if role == "assistant" and entry.get("tool_calls"):
            rest = {key: value for key, value in entry.items() if key != "tool_calls"}
            yield number, rest | {"content": _with_calls(where, entry)}
        else:
            yield number, entry
    if results:
        yield results[0], {"role": "user", "content": results[1]}


def _result(where: str, entry: Mapping[str, Any]) -> list[Any]:
    """The parts of a result."""
    content = entry.get("content")
    if not isinstance(content, str | list | tuple):
        raise ValueError(f"{where}.content: {shown(content)} is neither text nor a list of parts")
    parts = [content] if isinstance(content, str) else content
    return [RESULT[0], *parts, RESULT[1]]


def _with_calls(where: str, entry: Mapping[str, Any]) -> Any:
    """What the assistant said, calls included."""
    content, calls = entry.get("content"), entry["tool_calls"]
    if not isinstance(calls, list | tuple):
        raise ValueError(f"{where}.tool_calls = {shown(calls)}: give a list of calls")
    written = "\n".join(_written(f"{where}.tool_calls[{n}]", call) for n, call in enumerate(calls))
    if not content:
        return written
    return f"{content}\n{written}" if isinstance(content, str) else [*content, "\n", written]


def _written(where: str, call: Any) -> str:
    function = call.get("function") if isinstance(call, Mapping) else None
    name, arguments = (function.get(key) for key in ("name", "arguments")) if function else (None, None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where}.function.name = {shown(name)}: name the function")
    if isinstance(arguments, Mapping):
        arguments = _json(arguments)
    if not isinstance(arguments, str) or _parsed(arguments) is None:
        raise ValueError(f"{where}.function.arguments = {shown(arguments)}: give the JSON of an object")
    return f'{OPEN}\n{{"name": {_json(name)}, "arguments": {arguments}}}\n{CLOSE}'


class CallStream:
    """An answer that comes in pieces, apart into words and calls.

    What is in the form of a call but makes no sense stays words: nothing is lost. White space in front of
    calls and behind the last one is.
    """

    def __init__(self) -> None:
        self._held, self._gap = "", ""
        self._calling = self._called = False

    def push(self, piece: str) -> list[str | ToolCall]:
        """Words and calls that can no longer change."""
        self._held += piece
        found: list[str | ToolCall] = []
        while True:
            before, mark, rest = self._held.partition(CLOSE if self._calling else OPEN)
            if self._calling:
                if not mark:
                    return found
                found.append(self._read(before, mark))
            else:
                words = (before if mark else before[: len(before) - _begun(before)]).rstrip()
                found += [words] if words else []
                if not mark:
                    self._held = before[len(words) :]
                    return found
                self._gap = before[len(words) :]
            self._held, self._calling = rest, not self._calling

    def flush(self) -> list[str | ToolCall]:
        """The answer is over: what was held back. A call whose end mark is missing counts if it is whole."""
        held, self._held = self._held, ""
        if self._calling:
            return [self._read(held, "")]
        return [held] if held and not (self._called and held.isspace()) else []

    def _read(self, inside: str, mark: str) -> str | ToolCall:
        """The call between two marks, or the words that it is none."""
        value = _parsed(inside)
        name, arguments = (value.get(key) for key in ("name", "arguments")) if value else (None, None)
        arguments = {} if arguments is None else arguments
        if not isinstance(name, str) or not name or not isinstance(arguments, dict):
            return f"{self._gap}{OPEN}{inside}{mark}"
        self._called = True
        return ToolCall(name, _json(arguments))


def split_calls(text: str) -> tuple[str, list[ToolCall]]:
    """The words of a whole answer, and its calls."""
    stream = CallStream()
    found = [*stream.push(text), *stream.flush()]
    words = "".join(part for part in found if isinstance(part, str))
    return words, [part for part in found if isinstance(part, ToolCall)]


def _begun(text: str) -> int:
    """Characters at the end of a text that may be the beginning of a call's mark."""
    counts = range(min(len(OPEN) - 1, len(text)), 0, -1)
    return next((count for count in counts if OPEN.startswith(text[-count:])), 0)


def _parsed(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _json(value: Any) -> str:
    """As the chat templates write it."""
    return json.dumps(value, ensure_ascii=False)
