"""Every documented field of /v1/chat/completions, through the unmodified `openai` package.

What a field should do is asked of the model alone, without a server: both must say the same.
"""

from __future__ import annotations

import math
import re
from typing import Any

import openai
import pytest

from tests.engine import tiny
from tests.serve.served import NAME, Served, says, shows

WIDE, TALL, SMALL = tiny.picture(1, 60, 30), tiny.picture(2, 30, 60), tiny.picture(3)
TALK = says("how many?")


def ask(client: openai.OpenAI, talk: Any = TALK, **options: Any) -> Any:
    return client.chat.completions.create(model=NAME, messages=talk, **{"max_tokens": 12, **options})


def alone(served: Served, talk: Any = TALK, **options: Any) -> str:
    return str(served.alone.chat(talk, **{"max_new_tokens": 12, **options}))


def test_text_and_its_counts(client: openai.OpenAI, served: Served) -> None:
    done = ask(client)
    assert done.choices[0].message.content == alone(served) != ""
    assert done.choices[0].message.role == "assistant" and done.choices[0].finish_reason == "length"
    assert done.usage.prompt_tokens == len(served.alone.encode(TALK).ids)
    assert done.usage.completion_tokens == 12
    assert done.usage.total_tokens == done.usage.prompt_tokens + 12
    assert done.object == "chat.completion" and done.model == NAME and done.id.startswith("chatcmpl-")
    assert [model.id for model in client.models.list()] == [NAME]
    assert client.models.retrieve(NAME).id == NAME


def test_roles_and_older_turns(client: openai.OpenAI, served: Served) -> None:
    talk = [
        {"role": "system", "content": "be short"},
        {"role": "user", "content": "is it red?"},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": [{"type": "text", "text": "blue?"}]},
    ]
    assert ask(client, talk).choices[0].message.content == alone(served, talk)
    talk[0]["role"] = "developer"
    assert ask(client, talk).choices[0].message.content == alone(served, talk)
    returned = ask(client).choices[0].message
    longer = [*TALK, returned.model_dump(), {"role": "user", "content": "why?"}]
    assert ask(client, longer).choices[0].message.content, "an answer goes back as it came"


def test_pictures_stay_where_they_are_shown(client: openai.OpenAI, served: Served) -> None:
    mixed = says("first ", shows(WIDE), " then ", shows(TALL), " which?")
    turned = says("first ", shows(TALL), " then ", shows(WIDE), " which?")
    said = ask(client, mixed).choices[0].message.content
    assert said == alone(served, mixed) != ask(client, turned).choices[0].message.content


@pytest.mark.parametrize("detail", ["low", "high", "auto"])
def test_detail_limits_tiles(client: openai.OpenAI, served: Served, detail: str) -> None:
    talk = says(shows(WIDE, detail=detail), "how many?")
    tiles = served.alone.encode(talk).tiles_per_image
    assert tiles == ((1,) if detail == "low" else served.alone.encode(says(shows(WIDE), "?")).tiles_per_image)
    assert ask(client, talk).usage.prompt_tokens == len(served.alone.encode(talk).ids)


def test_limits_and_positions_of_our_own(client: openai.OpenAI, served: Served) -> None:
    talk = says(shows(WIDE), "how many?")
    for extra in ({"max_tiles": 1}, {"visual_increment": 0.25}):
        done = ask(client, talk, extra_body=extra)
        assert done.choices[0].message.content == alone(served, talk, **extra)


def test_a_clip_of_pictures(client: openai.OpenAI, served: Served) -> None:
    frames = [shows(tiny.picture(50 + n))["image_url"]["url"] for n in range(3)]
    talk = says({"type": "video_url", "video_url": {"url": frames}}, "left?")
    assert ask(client, talk).choices[0].message.content == alone(served, talk)


def test_streams(client: openai.OpenAI, served: Served) -> None:
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == alone(served)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == "length" and not any(reasons[:-1])
    assert chunks[-1].usage.completion_tokens == 12 and not chunks[-1].choices
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert all(chunk.usage is None for chunk in ask(client, stream=True))


def test_several_answers(client: openai.OpenAI, served: Served) -> None:
    done = ask(client, n=3, temperature=1.0, seed=5)
    texts = [choice.message.content for choice in done.choices]
    assert [choice.index for choice in done.choices] == [0, 1, 2] and len(set(texts)) == 3
    assert texts[0] == alone(served, temperature=1.0, seed=5), "the first is what n = 1 gives"
    assert done.usage.completion_tokens == 36
    pieces = ["", "", ""]
    for chunk in ask(client, n=3, temperature=1.0, seed=5, stream=True):
        pieces[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert pieces == texts


def test_temperature_and_seed(client: openai.OpenAI, served: Served) -> None:
    def drawn(**options: Any) -> Any:
        return ask(client, temperature=1.5, **options).choices[0].message.content

    assert drawn(seed=1) == drawn(seed=1) == alone(served, temperature=1.5, seed=1) != drawn(seed=2)
    assert len({drawn() for _ in range(3)}) == 3, "without a seed every request draws anew"
    assert ask(client).choices[0].message.content == ask(client, temperature=0).choices[0].message.content


@pytest.mark.parametrize(
    ("options", "extra"),
    [
        ({"top_p": 0.5}, {}),
        ({"presence_penalty": 1.5}, {}),
        ({"frequency_penalty": 1.5}, {}),
        ({}, {"top_k": 3}),
        ({}, {"min_p": 0.2}),
        ({}, {"repetition_penalty": 1.3}),
    ],
    ids=str,
)
def test_how_tokens_are_chosen(
    client: openai.OpenAI, served: Served, options: dict[str, Any], extra: dict[str, Any]
) -> None:
    chosen = {"temperature": 1.2, "seed": 4}
    done = ask(client, **chosen, **options, extra_body=extra)
    expected = alone(served, **chosen, **options, **extra)
    assert done.choices[0].message.content == expected != alone(served, **chosen)


def test_bias(client: openai.OpenAI, served: Served) -> None:
    token = served.alone.tokenizer.encode("how")[0]
    done = ask(client, logit_bias={str(token): 100}, max_tokens=3)
    assert done.choices[0].message.content == served.alone.tokenizer.decode([token] * 3).strip()


def test_stop(client: openai.OpenAI, served: Served) -> None:
    whole = alone(served)
    letter = whole[len(whole) // 2]
    for stop in (letter, ["nowhere to be found", letter]):
        done = ask(client, stop=stop)
        assert done.choices[0].message.content == alone(served, stop=(letter,)) != whole
        assert done.choices[0].finish_reason == "stop"
    token = served.alone.complete([served.alone.prompt(TALK, max_new_tokens=12)])[0].ids[4]
    done = ask(client, extra_body={"stop_token_ids": [token]})
    assert done.usage.completion_tokens <= 4 and done.choices[0].finish_reason == "stop"


def test_length(client: openai.OpenAI, served: Served) -> None:
    assert ask(client, max_tokens=5).usage.completion_tokens == 5
    done = client.chat.completions.create(model=NAME, messages=TALK, max_completion_tokens=6)
    assert done.usage and done.usage.completion_tokens == 6
    eos = next(iter(served.alone.encoder.stop_ids))
    assert ask(client, logit_bias={str(eos): 100}).usage.completion_tokens == 0
    done = ask(client, logit_bias={str(eos): 100}, extra_body={"ignore_eos": True})
    assert done.usage.completion_tokens == 12


def test_logprobs(client: openai.OpenAI, served: Served) -> None:
    done = ask(client, logprobs=True, top_logprobs=3)
    entries = done.choices[0].logprobs.content
    expected = served.alone.complete([served.alone.prompt(TALK, max_new_tokens=12, logprobs=3)])[0]
    assert [entry.logprob for entry in entries] == [one.logprob for one in expected.logprobs]
    assert [[top.logprob for top in entry.top_logprobs] for entry in entries] == [
        [value for _, value in one.top] for one in expected.logprobs
    ]
    assert all(math.exp(entry.logprob) <= 1.0 and len(entry.top_logprobs) == 3 for entry in entries)
    spelled = b"".join(bytes(entry.bytes) for entry in entries).decode("utf-8", "replace")
    assert spelled.strip() == done.choices[0].message.content
    assert entries[0].top_logprobs[0].token == entries[0].token, "greedy takes the best one"
    streamed = [
        entry.logprob
        for chunk in ask(client, logprobs=True, stream=True)
        if chunk.choices and chunk.choices[0].logprobs
        for entry in chunk.choices[0].logprobs.content
    ]
    assert streamed == [entry.logprob for entry in entries]
    assert ask(client).choices[0].logprobs is None


def test_the_answer_goes_on_with_words_of_the_client(client: openai.OpenAI, served: Served) -> None:
    talk = [*TALK, {"role": "assistant", "content": "the red "}]
    whole = alone(served, talk, continue_final_message=True)
    rest = ask(client, talk, extra_body={"continue_final_message": True, "add_generation_prompt": False})
    assert "the red " + rest.choices[0].message.content == whole
    echoed = ask(client, talk, extra_body={"continue_final_message": True, "echo": True})
    assert echoed.choices[0].message.content == whole
    chunks = ask(client, talk, stream=True, extra_body={"continue_final_message": True})
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == rest.choices[0].message.content


def test_a_thought_is_apart(client: openai.OpenAI, served: Served) -> None:
    over = "<think>\nwell\n</think>\n\nit"
    for begun, field in (("<think>\nwell", "reasoning_content"), (over, "content")):
        talk = [*TALK, {"role": "assistant", "content": begun}]
        whole = served.alone.chat(talk, continue_final_message=True, max_new_tokens=12)
        options = {"extra_body": {"continue_final_message": True}}
        message = ask(client, talk, **options).choices[0].message.model_dump()
        said = {"reasoning_content": whole.thought, "content": str(whole)}[field]
        assert begun.removeprefix("<think>\n").rpartition("\n")[2] + message[field] == said
        assert not message.get({"content": "reasoning_content", "reasoning_content": "content"}[field])
        streamed = "".join(
            chunk.choices[0].delta.model_dump().get(field) or ""
            for chunk in ask(client, talk, stream=True, **options)
        )
        assert streamed == message[field]


def test_harmless_fields_change_nothing(client: openai.OpenAI, served: Served) -> None:
    done = ask(
        client,
        user="me",
        metadata={"a": "b"},
        store=True,
        service_tier="auto",
        safety_identifier="x",
        prompt_cache_key="y",
        response_format={"type": "text"},
    )
    assert done.choices[0].message.content == alone(served)


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"temprature": 1}, "unknown_field", "'temprature' is no field.*did you mean temperature"),
        ({"modalities": ["audio"]}, "unknown_field", "'modalities' is no field"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": "hi"}, "invalid_value", "messages = 'hi'"),
        ({"messages": [{"role": "pope", "content": ""}]}, "invalid_value", r"messages\[0\].role: 'pope'"),
        ({"messages": [{"role": "user"}]}, "invalid_value", r"messages\[0\].content: None is neither"),
        ({"temperature": "hot"}, "invalid_value", "temperature = 'hot'"),
        ({"temperature": -1}, "invalid_value", "temperature = -1"),
        ({"top_p": 0}, "invalid_value", "top_p = 0"),
        ({"n": 0}, "invalid_value", "n = 0"),
        ({"n": True}, "invalid_value", "n = True"),
        ({"n": 99}, "too_many_choices", "limits.choices"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens = 0"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "invalid_value", "give one"),
        ({"max_tokens": 10**6}, "context_length_exceeded", "the model was made for"),
        ({"top_logprobs": 2}, "invalid_value", "needs logprobs = true"),
        ({"logprobs": True, "top_logprobs": 21}, "invalid_value", "top_logprobs = 21"),
        ({"stop": ["a"] * 17}, "invalid_value", "stop: give at most"),
        ({"stop": ""}, "invalid_value", "stop: give at most"),
        ({"seed": -1}, "invalid_value", "seed = -1"),
        ({"logit_bias": {"red": 1}}, "invalid_value", "logit_bias"),
        ({"logit_bias": {"1": 101}}, "invalid_value", "logit_bias"),
        ({"logit_bias": {"99999": 1}}, "invalid_value", "logit_bias"),
        ({"stop_token_ids": [10**9]}, "invalid_value", "stop_token_ids"),
        ({"stream_options": {"x": 1}}, "unknown_field", "stream_options.x"),
        ({"visual_increment": 0.3}, "invalid_value", "visual_increment = 0.3"),
        ({"continue_final_message": True}, "invalid_value", "holds no words of the assistant"),
        ({"add_generation_prompt": False}, "invalid_value", "add_generation_prompt"),
        ({"messages": [*TALK, {"role": "assistant", "content": "x"}]}, "invalid_value", "continue_final"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(served: Served, fields: dict[str, Any], code: str, message: str) -> None:
    status, found, said = served.refusal({"messages": TALK, "max_tokens": 2, **fields})
    assert (status, found) == (400, code), said
    assert re.search(message, said), said


def test_another_model_is_not_here(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="this server has 'nano' only") as caught:
        client.chat.completions.create(model="gpt-4o", messages=TALK)  # type: ignore[arg-type]
    assert caught.value.code == "model_not_found" and caught.value.param == "model"
    with pytest.raises(openai.NotFoundError, match="this server has"):
        client.models.retrieve("gpt-4o")
