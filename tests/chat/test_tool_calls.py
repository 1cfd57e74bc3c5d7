"""Functions told, called and answered: the prompts of Qwen's own templates, and calls read from answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from tessera.chat.message import Image, Text
from tessera.chat.openai import read_messages
from tessera.chat.render import render
from tessera.chat.templates import get_template
from tessera.chat.tokenizer import load_tokenizer
from tessera.chat.tool_calls import CallStream, ToolCall, ToolUse, spelled, split_calls

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Das Wetter in einer Stadt (°C)",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "the time"}}


def call(name: str, arguments: Any, number: int = 0) -> dict[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather in Köln and Rome, and the time?"},
    {
        "role": "assistant",
        "content": "I shall look.",
        "tool_calls": [call("get_weather", {"city": "Köln"}), call("get_weather", {"city": "Rome"}, 1)],
    },
    {"role": "tool", "tool_call_id": "call_0", "content": "21 °C"},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"celsius": 28}'},
    {"role": "assistant", "content": "", "tool_calls": [call("clock", {}, 2)]},
    {"role": "tool", "tool_call_id": "call_2", "content": "12:00"},
    {"role": "assistant", "content": "21, 28, noon."},
    {"role": "user", "content": "Thanks"},
]


@pytest.mark.parametrize("name", ["internvl3", "qwen3"])
def test_prompts_are_those_of_the_chat_templates(shared_data: Path, name: str) -> None:
    """Qwen2.5's template and Qwen3's; what OpenAI's clients send has its arguments as text."""
    folder = shared_data / "tokenizers"
    template = json.loads((folder / name / "tokenizer_config.json").read_text())["chat_template"]
    options = {"chat_template": template, "tools": [WEATHER, CLOCK], "add_generation_prompt": True}
    (expected,), _ = render_jinja_template([TALK], **options)
    tokenizer = load_tokenizer(folder / "internvl3").with_added()
    sent = json.loads(json.dumps(TALK))
    for message in sent:
        for made in message.get("tool_calls", []):
            made["function"]["arguments"] = json.dumps(made["function"]["arguments"], ensure_ascii=False)
    for messages in (TALK, sent):
        talk = ToolUse.read([WEATHER, CLOCK]).told(read_messages(messages), "unused")
        ids = render(talk, get_template("internvl2_5"), tokenizer, generate=True).ids
        assert b"".join(tokenizer.written[i] for i in ids).decode() == expected
    assert tokenizer.token_id("<tool_call>") in ids, "the token that the model was taught, not its letters"


def test_the_functions_stand_behind_the_models_own_system_text() -> None:
    talk = read_messages([{"role": "user", "content": "?"}])
    use = ToolUse.read([CLOCK])
    assert use.told(talk, "I am.").messages[0].text.startswith("I am.\n\n# Tools\n\n")
    assert use.told(talk, "").messages[0].text.startswith("# Tools\n\n")
    assert use.told(talk, "I am.").messages[1:] == talk.messages
    assert ToolUse.read(None).told(talk, "I am.") == talk
    assert ToolUse.read([CLOCK], "none").told(talk, "I am.") == talk


def test_a_result_may_show_a_picture() -> None:
    shown = {
        "role": "tool",
        "content": [{"type": "text", "text": "see"}, {"type": "image", "image": "a.png"}],
    }
    (message,) = read_messages([shown]).messages
    assert message.role == "user"
    assert [type(part) for part in message.parts] == [Text, Text, Image, Text]
    assert message.text == "<tool_response>\nsee\n</tool_response>"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (({"a": 1},), "tools = .*: give a list of functions"),
        (([{"type": "retrieval"}],), r"tools\[0\].type = 'retrieval': only \"function\""),
        (([{"type": "function", "function": 3}],), r"tools\[0\].function = 3: give an object"),
        (
            ([{"type": "function", "name": "a b"}],),
            r"tools\[0\].name = 'a b': give every function its own name",
        ),
        (([CLOCK, CLOCK],), r"tools\[1\].function.name = 'clock': give every function its own"),
        (
            ([{"type": "function", "name": "a", "parameters": []}],),
            r"tools\[0\].parameters = \[\]: give a JSON",
        ),
        (([CLOCK], "always"), "tool_choice = 'always': give none, auto, required or"),
        (
            ([CLOCK], {"type": "function", "function": {"name": "x"}}),
            "tool_choice = .*no such function; clock",
        ),
        (([], "required"), "tool_choice = 'required': there is no such function; tools is empty"),
        (([CLOCK], "auto", 1), "parallel_tool_calls = 1: give true or false"),
    ],
)
def test_what_cannot_be_is_told_by_name(given: tuple[Any, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ToolUse.read(*given)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"role": "tool"}, r"messages\[0\].content: None is neither text nor"),
        ({"role": "assistant", "tool_calls": {}}, r"messages\[0\].content"),
        ({"role": "assistant", "tool_calls": 3}, r"messages\[0\].tool_calls = 3: give a list of calls"),
        (
            {"role": "assistant", "tool_calls": [3]},
            r"tool_calls\[0\].function.name = None: name the function",
        ),
        (
            {"role": "assistant", "tool_calls": [call("f", "{")]},
            r"function.arguments = '{': give the JSON of an",
        ),
        (
            {"role": "assistant", "tool_calls": [call("f", "[1]")]},
            r"function.arguments = '\[1\]': give the JSON",
        ),
    ],
)
def test_calls_and_results_that_make_no_sense_are_told(message: dict[str, Any], told: str) -> None:
    if message == {"role": "assistant", "tool_calls": {}}:
        assert read_messages([message]).messages[0].text == ""  # nothing called, nothing said
        return
    with pytest.raises(ValueError, match=told):
        read_messages([message])


def test_messages_keep_their_numbers() -> None:
    """Two results become one turn; a fault behind them is told where the user wrote it."""
    assert [number for number, _ in spelled(TALK)] == [0, 1, 2, 3, 5, 6, 7, 8]
    with pytest.raises(ValueError, match=r"messages\[9\].role"):
        read_messages([*TALK, {"role": "nobody"}])


def test_who_is_forced_to_call_what() -> None:
    use = ToolUse.read([WEATHER, CLOCK], "required", False)
    assert use.forced == use.tools and not use.several
    named = ToolUse.read([WEATHER, CLOCK], {"type": "function", "function": {"name": "clock"}})
    assert [tool.name for tool in named.forced] == ["clock"] and len(named.tools) == 2
    flat = ToolUse.read([CLOCK | CLOCK["function"]][:1], {"type": "function", "name": "clock"})  # type: ignore[operator]
    assert flat.forced
    assert not ToolUse.read([WEATHER], "auto").forced and not ToolUse.read([WEATHER]).forced


ONE = '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>'
TWO = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "K\u00f6ln"}}\n</tool_call>'
CLOCK_CALL, WEATHER_CALL = ToolCall("clock", "{}"), ToolCall("get_weather", '{"city": "Köln"}')
ANSWERS: list[tuple[str, str, list[ToolCall]]] = [
    ("no call at all \n", "no call at all \n", []),
    (ONE, "", [CLOCK_CALL]),
    (f"I look.\n{ONE}\n{TWO}\n", "I look.", [CLOCK_CALL, WEATHER_CALL]),
    (f"a{ONE}b{TWO} c", "ab c", [CLOCK_CALL, WEATHER_CALL]),
    (ONE.removesuffix("</tool_call>"), "", [CLOCK_CALL]),
    ('<tool_call>{"name": "clock"}</tool_call>', "", [CLOCK_CALL]),
    ("x \n<tool_call>\n{'name': 1}\n</tool_call>!", "x \n<tool_call>\n{'name': 1}\n</tool_call>!", []),
    (
        '<tool_call>{"name": "f", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "f", "arguments": [1]}</tool_call>',
        [],
    ),
    ('so <tool_call>{"name": "clo', 'so <tool_call>{"name": "clo', []),
    ("a < b <tool", "a < b <tool", []),
    ("<tool_call>" + "[" * 100_000, "<tool_call>" + "[" * 100_000, []),
]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_calls_are_read_and_nothing_is_lost(number: int) -> None:
    text, words, calls = ANSWERS[number]
    assert split_calls(text) == (words, calls)


@given(st.sampled_from(ANSWERS[:-1]), st.lists(st.integers(1, 60), max_size=8))
def test_pieces_give_what_the_whole_gives(answer: tuple[str, str, list[ToolCall]], cuts: list[int]) -> None:
    text, words, calls = answer
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    stream = CallStream()
    found = [part for a, b in zip(places, places[1:], strict=False) for part in stream.push(text[a:b])]
    found += stream.flush()
    assert "".join(part for part in found if isinstance(part, str)) == words
    assert [part for part in found if isinstance(part, ToolCall)] == calls


def test_words_come_as_soon_as_they_are_certain() -> None:
    stream = CallStream()
    assert stream.push("I look") == ["I look"]
    assert stream.push(" it up.\n<to") == [" it up."]
    assert stream.push("ol_call>\n{") == []
    assert stream.push('"name": "clock"}</tool_call>') == [CLOCK_CALL]
    assert stream.flush() == []
