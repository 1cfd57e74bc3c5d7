"""Every documented field of /v1/completions through the `openai` package; /tokenize, /health, /metrics."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import openai
import pytest

from tessera.chat.encoder import Encoded
from tessera.chat.positions import v2pe_positions
from tessera.engine.sampling.options import Sampling
from tests.engine import tiny
from tests.serve.served import NAME, Served, says, shows

TEXT = "<|im_start|>user\nhow many?<|im_end|>\n<|im_start|>assistant\n"


def complete(client: openai.OpenAI, prompt: Any = TEXT, **options: Any) -> Any:
    return client.completions.create(model=NAME, prompt=prompt, **{"max_tokens": 8, **options})


def alone(served: Served, ids: list[int], **options: Any) -> Any:
    """The engine's answer to these ids."""
    side = served.alone.encoder.tiling.tile_side
    none = np.zeros((0, side, side, 3), np.uint8)
    prompt = Encoded(np.array(ids, np.int32), np.zeros(len(ids), np.float32), none, ())
    return served.alone.engine.generate([prompt], Sampling(**{"max_new_tokens": 8, **options}))[0]


def test_a_text_with_its_special_tokens(client: openai.OpenAI, served: Served) -> None:
    ids = served.alone.tokenizer.encode(TEXT)
    assert served.alone.tokenizer.token_id("<|im_start|>") in ids
    done = complete(client)
    assert done.choices[0].text == alone(served, ids).text != "" and done.choices[0].finish_reason == "length"
    assert done.usage.prompt_tokens == len(ids) and done.usage.completion_tokens == 8
    assert done.object == "text_completion" and done.id.startswith("cmpl-")


def test_ids_and_several_prompts(client: openai.OpenAI, served: Served) -> None:
    first, second = served.alone.tokenizer.encode(TEXT), served.alone.tokenizer.encode("the red")
    texts = [alone(served, ids).text for ids in (first, second)]
    assert complete(client, first).choices[0].text == texts[0]
    for prompts in ([first, second], [TEXT, "the red"]):
        done = complete(client, prompts)
        assert [choice.text for choice in done.choices] == texts
        assert done.usage.prompt_tokens == len(first) + len(second)
    done = complete(client, ["the red", TEXT], n=2, temperature=1.0, seed=3)
    assert [choice.index for choice in done.choices] == [0, 1, 2, 3]
    assert done.choices[0].text == alone(served, second, temperature=1.0, seed=3).text != done.choices[1].text
    assert done.usage.prompt_tokens == len(first) + len(second), "a prompt counts once"


def test_streams_echo_and_stop(client: openai.OpenAI, served: Served) -> None:
    whole = complete(client).choices[0].text
    chunks = list(complete(client, stream=True, echo=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == TEXT + whole
    assert chunks[-1].usage.completion_tokens == 8
    assert complete(client, echo=True).choices[0].text == TEXT + whole
    stopped = complete(client, stop=whole[3], best_of=1, suffix="")
    assert whole.startswith(stopped.choices[0].text) and stopped.choices[0].finish_reason == "stop"


def test_logprobs(client: openai.OpenAI, served: Served) -> None:
    found = complete(client, logprobs=2).choices[0].logprobs
    expected = alone(served, served.alone.tokenizer.encode(TEXT), logprobs=2).logprobs
    assert found.token_logprobs == [one.logprob for one in expected]
    assert [max(top.values()) for top in found.top_logprobs] == [one.top[0][1] for one in expected]
    whole = complete(client).choices[0].text.replace("\ufffd", "")
    plain = ["" if token.startswith("bytes:") else token for token in found.tokens]
    assert found.text_offset == [sum(map(len, plain[:n])) for n in range(8)]
    assert "bytes:" in "".join(found.tokens) or "".join(plain) == whole
    streamed = [c.choices[0].logprobs for c in complete(client, logprobs=2, stream=True)]
    assert [v for part in streamed for v in part.token_logprobs] == found.token_logprobs
    assert [v for part in streamed for v in part.text_offset] == found.text_offset


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": []}, "prompt: is empty"),
        ({"prompt": [[]]}, r"prompt\[0\]: ids run from 0"),
        ({"prompt": [5, 10**6]}, r"prompt\[0\]: ids run from 0"),
        ({"prompt": "see <IMG_CONTEXT>"}, "holds the token of a picture"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": ["a", 3]}, "prompt"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 4}, "answers are not ranked"),
        ({"echo": True, "logprobs": 1}, "leave one of them out"),
        ({"prompt": "\ud800"}, "lone surrogate"),
        ({"max_tokens": 10**7}, "the model was made for"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(served: Served, fields: dict[str, Any], message: str) -> None:
    content = json.dumps({"prompt": "a", **fields})
    headers = {"content-type": "application/json"}
    reply = served.http.post("/v1/completions", content=content, headers=headers)
    assert reply.status_code == 400 and re.search(message, reply.json()["error"]["message"])


def test_tokenize_tells_what_the_model_sees(served: Served) -> None:
    talk = says("see ", shows(tiny.picture(1, 60, 30)), shows(tiny.picture(2), detail="low"), " which?")
    encoded = served.alone.encode(talk)
    found = served.post("/tokenize", {"messages": talk}).json()
    context = served.alone.encoder.context_id
    assert found["tokens"] == encoded.ids.tolist() and found["count"] == len(encoded.ids)
    assert found["tiles"] == list(encoded.tiles_per_image)
    assert found["positions"] == v2pe_positions(encoded.ids, context, 1.0).tolist()
    assert "<IMG_CONTEXT>*" in found["text"] and found["text"].endswith("<|im_start|>assistant\n")
    small = served.post("/tokenize", {"messages": talk, "max_tiles": 1, "visual_increment": 0.25}).json()
    assert small["count"] < found["count"] and max(small["positions"]) < small["count"] - 1
    raw = served.post("/tokenize", {"prompt": TEXT}).json()
    assert raw["tokens"] == served.alone.tokenizer.encode(TEXT) and raw["text"] == TEXT
    assert served.refusal({"messages": talk, "prompt": "x"}, "/tokenize")[:2] == (400, "invalid_value")
    assert served.refusal({"promt": "x"}, "/tokenize")[:2] == (400, "unknown_field")
    assert served.refusal({"model": "other", "prompt": "x"}, "/tokenize")[:2] == (404, "model_not_found")


def test_health_metrics_and_the_list_of_endpoints(served: Served) -> None:
    get = served.http.get
    assert get("/health").json() == {"status": "ok"}
    assert "/v1/chat/completions" in get("/").json()["endpoints"]
    served.post("/v1/chat/completions", {"messages": says(shows(tiny.picture(1)), "?"), "max_tokens": 2})
    served.post("/v1/chat/completions", {"messages": []})
    served.post("/not/here", {})
    text = get("/metrics").text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    answers = 'tessera_http_answers_total{path="%s",status="%s"}'
    assert int(figures[answers % ("/v1/chat/completions", 200)]) >= 1
    assert int(figures[answers % ("/v1/chat/completions", 400)]) >= 1
    assert int(figures[answers % ("other", 404)]) == 1
    assert float(figures["tessera_first_token_seconds_count"]) >= 1
    assert int(figures["tessera_engine_answer_tokens_total"]) >= 2
    assert int(figures["tessera_engine_picture_misses_total"]) >= 1
    assert figures["tessera_requests_inside"] == figures["tessera_tiles_held"] == "0"
    assert text.count("# TYPE") == len({line.split()[2] for line in text.splitlines() if "# TYPE" in line})


def test_paths_and_methods_that_are_not_there(served: Served) -> None:
    for method, path, status in (("GET", "/v1/images", 404), ("GET", "/v1/chat/completions", 405)):
        reply = served.http.request(method, path)
        assert reply.status_code == status and "GET / lists" in reply.json()["error"]["message"]
