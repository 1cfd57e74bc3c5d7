"""Answers held to a form, and calls of functions, through the unmodified `openai` package."""

from __future__ import annotations

import json
import re
from typing import Any

import openai
import pytest

from tessera.engine.completion import Finish
from tessera.engine.core.ticket import Event
from tessera.engine.sampling.grammar import Grammar
from tessera.serve.said import Said
from tests.engine import tiny
from tests.serve.served import NAME, Served, says, shows

pytest.importorskip("llguidance", reason="the extra json is not installed")

TALK = says("how many?")
NO_SPACE = {n: -100 for n, piece in enumerate(tiny.tokenizer().written) if piece.isspace() and piece}
"""A random model loves white space, which JSON may have anywhere."""
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "filled": {"type": "boolean"}},
    "required": ["colour", "filled"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "function": {"name": "paint", "description": "Paints.", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "stop"}},
]


def ask(client: openai.OpenAI, talk: Any = TALK, **options: Any) -> Any:
    return client.chat.completions.create(
        model=NAME, messages=talk, logit_bias=NO_SPACE, **{"max_tokens": 300, **options}
    )


def test_json_after_a_schema(client: openai.OpenAI, served: Served) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "shape", "schema": SCHEMA, "strict": True}}
    found = json.loads(ask(client, response_format=wanted).choices[0].message.content)
    assert found["colour"] in ("red", "blue") and isinstance(found["filled"], bool) and len(found) == 2
    streamed = ask(client, response_format=wanted, stream=True)
    assert json.loads("".join(chunk.choices[0].delta.content or "" for chunk in streamed)) == found
    form = Grammar.model_validate({"json_schema": SCHEMA})
    said = served.alone.chat(TALK, grammar=form, max_new_tokens=300, logit_bias=NO_SPACE)
    assert json.loads(said) == found
    ended = ask(client, response_format=wanted, max_tokens=2)
    assert ended.choices[0].finish_reason == "length"


def test_other_forms(client: openai.OpenAI) -> None:
    found = ask(client, extra_body={"structured_outputs": {"choice": ["red", "blue"]}})
    assert found.choices[0].message.content in ("red", "blue")
    found = ask(client, extra_body={"structured_outputs": {"regex": "[0-9]{3}"}})
    assert re.fullmatch("[0-9]{3}", found.choices[0].message.content)
    found = ask(client, response_format={"type": "json_object"}, max_tokens=3)
    assert found.choices[0].message.content.startswith("{")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "paint"}}])
def test_a_call_that_is_required(client: openai.OpenAI, choice: Any) -> None:
    done = ask(client, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False).choices[0]
    assert done.finish_reason == "tool_calls" and done.message.content is None
    (call,) = done.message.tool_calls
    assert call.type == "function" and call.id.startswith("call_")
    assert call.function.name in ("paint", "stop")
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == ({"colour", "filled"} if call.function.name == "paint" else set())
    chunks = list(ask(client, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False, stream=True))
    calls = [c for chunk in chunks for c in chunk.choices[0].delta.tool_calls or ()]
    assert [(c.index, c.function.name, c.function.arguments) for c in calls] == [
        (0, call.function.name, call.function.arguments)
    ]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_tools_are_told_and_results_come_back(served: Served) -> None:
    """The prompt is that of the chat templates: functions in the system text, results in a user turn."""
    talk = [
        {"role": "system", "content": "be short"},
        *TALK,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "stop", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    text = served.post("/tokenize", {"messages": talk, "tools": TOOLS}).json()["text"]
    assert "be short\n\n# Tools" in text and '"name": "paint"' in text
    assert '<tool_call>\n{"name": "stop", "arguments": {}}\n</tool_call>' in text
    assert "<tool_response>\ndone\n</tool_response>" in text
    plain = served.post("/tokenize", {"messages": talk}).json()["text"]
    assert "# Tools" not in plain and len(plain) < len(text)
    answered = served.post("/v1/chat/completions", {"messages": talk, "tools": TOOLS, "max_tokens": 3}).json()
    assert (
        answered["usage"]["prompt_tokens"]
        == served.post("/tokenize", {"messages": talk, "tools": TOOLS}).json()["count"]
    )


def told(pieces: list[str], called: bool) -> tuple[Said, list[str]]:
    """What is made of an answer in these pieces."""
    said, words = Said(0, 1, apart=True, called=called), []
    for number, piece in enumerate(pieces):
        finish: Finish | None = "stop" if number == len(pieces) - 1 else None
        words.append(said.take(Event(piece, (number,), (), finish)).words)
    return said, words


def test_words_thought_and_calls_of_one_answer() -> None:
    call = '<tool_call>\n{"name": "paint", "arguments": {"a": 1}}\n</tool_call>'
    whole = f"<think>\nhm\n</think>\n\nI paint.\n{call}"
    for width in (1, 3, 7, len(whole)):
        pieces = [whole[n : n + width] for n in range(0, len(whole), width)]
        said, words = told(pieces, called=True)
        assert (said.thought, said.words) == ("hm", "I paint.") == (said.thought, "".join(words))
        assert [(call.name, call.arguments) for call in said.calls] == [("paint", '{"a": 1}')]
        assert said.tokens == len(pieces)
        said, _ = told(pieces, called=False)
        assert said.words.startswith("I paint.\n<tool_call>") and not said.calls, "nobody offered functions"


PART = "messages[0].content[0]"
ANY = {"type": "json_object"}
BAD_SCHEMA = {"type": "json_schema", "json_schema": {"schema": {"type": 5}}}
BAD_TOOLS = [{"type": "function", "function": {"name": "a", "parameters": {"type": 7}}}]


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"response_format": {"type": "yaml"}}, "response_format.type", "response_format.type = 'yaml'"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing"),
        ({"response_format": BAD_SCHEMA}, "response_format", "type must be"),
        ({"structured_outputs": {"regex": "("}}, "structured_outputs", "structured_outputs: "),
        ({"structured_outputs": {}}, "structured_outputs", "give one of"),
        ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs", "give one of"),
        ({"structured_outputs": {"regex": "a"}, "response_format": ANY}, "structured_outputs", "leave one"),
        ({"tools": [{"type": "search"}]}, "tools[0].type", "only \"function\" is known"),
        ({"tools": TOOLS * 2}, "tools[2].function.name", "its own name"),
        ({"tools": BAD_TOOLS, "tool_choice": "required"}, "tools", "tools: "),
        ({"tool_choice": "required"}, "tool_choice", "there is no such function"),
        ({"tools": TOOLS, "tool_choice": "sometimes"}, "tool_choice", "give none, auto, required"),
        ({"messages": [{"role": "tool", "content": 5}]}, "messages[0].content", "neither text nor"),
        ({"messages": [{"role": "user", "content": "a", "contents": "b"}]}, "messages[0]", "mean content"),
        ({"messages": says({"type": "text", "text": "a", "txet": "b"})}, PART, "mean text"),
        ({"messages": says(shows("x", detial="low"))}, f"{PART}.image_url", "mean detail"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_wrong_is_named(served: Served, fields: dict[str, Any], param: str, message: str) -> None:
    reply = served.post("/v1/chat/completions", {"messages": TALK, "max_tokens": 2, **fields})
    error = reply.json()["error"]
    assert (reply.status_code, error["param"]) == (400, param) and message in error["message"], error
