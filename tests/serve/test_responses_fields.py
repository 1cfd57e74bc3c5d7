"""/v1/responses through the unmodified `openai` package: answers are those of chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tessera.engine.completion import TokenLogprob
from tessera.engine.core.ticket import Event
from tessera.serve.forms.responses import ResponseBody, ResponsesForm
from tessera.serve.said import Said
from tessera.serve.settings import ServeSettings
from tests.engine import tiny
from tests.serve.served import NAME, Served, data_address, says, shows

WIDE = tiny.picture(1, 60, 30)


def ask(client: openai.OpenAI, given: Any = "how many?", **options: Any) -> Any:
    return client.responses.create(model=NAME, input=given, **{"max_output_tokens": 12, **options})


def alone(served: Served, talk: Any, **options: Any) -> str:
    return str(served.alone.chat(talk, **{"max_new_tokens": 12, **options}))


def test_a_text(client: openai.OpenAI, served: Served) -> None:
    done = ask(client, instructions="be short", temperature=0, store=False, metadata={"a": "b"})
    talk = [{"role": "system", "content": "be short"}, *says("how many?")]
    assert done.output_text == alone(served, talk) != alone(served, says("how many?"))
    assert done.status == "incomplete" and done.incomplete_details.reason == "max_output_tokens"
    assert done.usage.output_tokens == 12 and done.usage.input_tokens == len(served.alone.encode(talk).ids)
    assert done.instructions == "be short" and done.object == "response" and done.error is None
    stopped = ask(client, extra_body={"stop": done.output_text[4]})
    assert stopped.status == "completed" and stopped.output[-1].status == "completed"


def test_pictures_and_turns(client: openai.OpenAI, served: Served) -> None:
    picture = {"type": "input_image", "image_url": data_address(WIDE), "detail": "auto"}
    given: Any = [{"role": "user", "content": [picture, {"type": "input_text", "text": "how many?"}]}]
    first = ask(client, given)
    talk = says(shows(WIDE), "how many?")
    assert first.output_text == alone(served, talk)
    longer = [*given, *first.output, {"role": "user", "content": "why?"}]
    talk += [{"role": "assistant", "content": first.output_text}, {"role": "user", "content": "why?"}]
    assert ask(client, longer).output_text == alone(served, talk), "what came back goes back"


def test_streams(client: openai.OpenAI) -> None:
    whole = ask(client)
    events = list(ask(client, stream=True))
    kinds = [each.type for each in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.incomplete" and kinds.count("response.output_item.done") == 1
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert (
        "".join(each.delta for each in events if each.type == "response.output_text.delta")
        == whole.output_text
    )
    assert events[-1].response.output_text == whole.output_text
    stop = {"stop": whole.output_text[4]}
    with client.responses.stream(model=NAME, input="how many?", extra_body=stop) as stream:
        pieces = [each.delta for each in stream if each.type == "response.output_text.delta"]
        assert stream.get_final_response().output_text == "".join(pieces) == whole.output_text[:4].strip()


def test_logprobs(client: openai.OpenAI, served: Served) -> None:
    done = ask(client, top_logprobs=2, include=["message.output_text.logprobs"])
    entries = done.output[0].content[0].logprobs
    prompt = served.alone.prompt(says("how many?"), max_new_tokens=12, logprobs=2)
    expected = served.alone.complete([prompt])[0].logprobs
    assert [entry.logprob for entry in entries] == [one.logprob for one in expected]


def test_a_schema_and_a_call(client: openai.OpenAI) -> None:
    pytest.importorskip("llguidance", reason="the extra json is not installed")
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    schema["additionalProperties"] = False
    quiet = {"extra_body": {"logit_bias": {str(n): -100 for n in spaces()}}, "max_output_tokens": 200}
    form: Any = {"format": {"type": "json_schema", "name": "x", "schema": schema, "strict": True}}
    assert set(json.loads(ask(client, text=form, **quiet).output_text)) == {"a"}
    tools: Any = [{"type": "function", "name": "paint", "parameters": schema, "strict": True}]
    required = {"tools": tools, "tool_choice": "required", "parallel_tool_calls": False, **quiet}
    done = ask(client, **required)
    (call,) = done.output
    assert (call.type, call.name, set(json.loads(call.arguments))) == ("function_call", "paint", {"a"})
    assert done.status == "completed"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "done"}
    given = [{"role": "user", "content": "paint"}, call.model_dump(), result]
    assert ask(client, given, tools=tools).status
    kinds = [each.type for each in ask(client, stream=True, **required)]
    assert "response.function_call_arguments.done" in kinds and "response.output_text.delta" not in kinds


def spaces() -> list[int]:
    return [n for n, piece in enumerate(tiny.tokenizer().written) if piece.isspace()]


def test_thought_words_and_calls_are_items() -> None:
    """Whole and as a stream they are the same items in the same order."""
    pieces = ["<think>\nhm\n</think>\n\nI ", 'paint.\n<tool_call>\n{"name": "paint"}\n</tool_call>', ""]

    def form() -> tuple[ResponsesForm, Said]:
        made = ResponsesForm(ResponseBody.read({"input": "?"}), ServeSettings(name="x"), tiny.tokenizer())
        return made, Said(0, 3, apart=True, called=True)

    def events() -> Iterator[Event]:
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            yield Event(piece, (5,), (TokenLogprob(5, -1.0),), "stop" if last else None)

    whole, said = form()
    for each in events():
        said.take(each)
    items = whole.whole([said])["output"]
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call"]
    assert items[0]["content"][0]["text"] == "hm" and items[1]["content"][0]["text"] == "I paint."
    streamed, said = form()
    told = [piece for each in events() for piece in streamed.piece(said, said.take(each))]
    told += streamed.closing([said])
    last = json.loads(told[-1].split(b"data: ")[1])

    def bare(entries: Any) -> Any:
        return [
            {k: v for k, v in entry.items() if k not in ("id", "call_id", "content")} for entry in entries
        ]

    assert last["type"] == "response.completed" and bare(last["response"]["output"]) == bare(items)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"input": []}, "input"),
        ({"input": [{"type": "reasoning"}], "tools": [{"type": "function", "name": "a"}]}, "input"),
        ({"input": [{"type": "web_search_call"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"n": 2}, "n"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"truncation": "auto"}, "truncation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(served: Served, fields: dict[str, Any], param: str) -> None:
    reply = served.post("/v1/responses", {"input": "a", "max_output_tokens": 2, **fields})
    assert reply.status_code == 400 and reply.json()["error"]["param"] == param, reply.text
