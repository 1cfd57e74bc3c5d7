"""`chat(tools=...)`: the model is told of functions, and its calls come apart from its words."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import pytest

from tessera.chat.message import say
from tessera.chat.tool_calls import ToolUse
from tessera.engine.answer import Answer
from tests.serve.served import nano

PAINT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "paint",
        "parameters": {
            "type": "object",
            "properties": {"color": {"enum": ["red", "blue"]}},
            "required": ["color"],
            "additionalProperties": False,
        },
    },
}
FORCED: dict[str, Any] = {"tools": [PAINT], "tool_choice": "required", "parallel_tool_calls": False}


def test_the_model_is_told_of_them() -> None:
    """As the server tells it: in the system text, behind the caller's own words."""
    model = nano()
    preface = ToolUse.read([PAINT]).told(model.prompt("?").conversation, "").messages[0].text
    for given, system in (({}, model.encoder.system), ({"system": "Be kind."}, "Be kind.")):
        told = model.prompt("?", tools=[PAINT], **given).conversation  # type: ignore[arg-type]
        assert told.messages[0] == say("system", f"{system}\n\n{preface}" if system else preface)
    silent = model.encode("?", tools=[PAINT], tool_choice="none")
    assert silent.ids.tolist() == model.encode("?").ids.tolist()
    talk = [
        {"role": "user", "content": "?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "paint", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "done"},
    ]
    assert "<tool_response>\ndone" in model.prompt(talk, tools=[PAINT]).conversation.messages[-1].text


def test_a_call_that_must_be_made() -> None:
    """The same whole, in pieces, from coroutines and in batches; the history keeps it as it was written."""
    model = nano()
    answer, history = model.chat("what is it?", return_history=True, max_new_tokens=80, **FORCED)
    (call,) = answer.calls
    assert (str(answer), call.name) == ("", "paint") and json.loads(call.arguments)["color"] in (
        "red",
        "blue",
    )
    assert history[-1][1] == answer.whole and answer.whole.startswith("<tool_call>\n")
    stream = model.stream("what is it?", max_new_tokens=80, **FORCED)
    assert "".join(stream) == answer and stream.answer.calls == answer.calls
    (batched,) = model.batch([{"question": "what is it?", "max_new_tokens": 80, **FORCED}])
    assert batched.calls == answer.calls

    async def both() -> tuple[Answer, str, Answer]:
        pieces = model.astream("what is it?", max_new_tokens=80, **FORCED)
        joined = "".join([piece async for piece in pieces])
        return await model.achat("what is it?", max_new_tokens=80, **FORCED), joined, pieces.answer

    said, joined, streamed = asyncio.run(both())
    assert said.calls == streamed.calls == answer.calls and said == joined == answer
    raw = model.chat("what is it?", max_new_tokens=80, strip=False, **FORCED)
    assert raw == answer.whole and raw.calls == ()
    again = pickle.loads(pickle.dumps(answer))
    assert (again, again.calls, again.whole) == (answer, answer.calls, answer.whole)


def test_words_beside_calls() -> None:
    call = '<tool_call>\n{"name": "paint", "arguments": {"color": "red"}}\n</tool_call>'
    answer = Answer(f"<think>hm</think>I paint.\n{call}", called=True)
    assert (str(answer), answer.thought, answer.calls[0].name) == ("I paint.", "hm", "paint")
    assert Answer(f"I paint.\n{call}").calls == (), "nobody told it of functions: these are words"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tools": "paint"}, "tools = 'paint': give a list of functions"),
        ({"tools": [{}]}, r"tools\[0\].type"),
        ({"tools": [PAINT], "tool_choice": "always"}, "tool_choice = 'always'"),
        ({"tool_choice": "required"}, "tools is empty"),
        ({"tools": [PAINT], "parallel_tool_calls": 1}, "parallel_tool_calls = 1: give true or false"),
        ({**FORCED, "grammar": {"regex": "a"}}, "tool_choice: it must be a call"),
    ],
)
def test_mistakes(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        nano().chat("?", **options)
