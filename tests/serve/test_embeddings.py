"""`/v1/embeddings` of a pair, asked by the unmodified client; and what each kind of server refuses."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import PIL.Image
import pytest
import torch

from tessera.serve.embedding.app import build_embedding_app
from tessera.serve.embedding.work import EmbeddingFront
from tessera.serve.http.server import DrainingServer, bind
from tessera.serve.settings import ServeLimits, ServeSettings
from tests.engine.embedding.fake_pair import FakePair
from tests.serve.served import WAIT, Served, says, shows

RED = PIL.Image.new("RGB", (8, 8), "red")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("media")
    for number in range(2):
        (root / "clip").mkdir(exist_ok=True)
        PIL.Image.new("RGB", (8, 8), ("red", "blue")[number]).save(root / "clip" / f"{number}.png")
    limits = ServeLimits(characters=200, parts=50, media=10)
    front = EmbeddingFront(FakePair(), ServeSettings(name="pair", media_root=root, limits=limits))
    listening = bind("127.0.0.1", 0)
    server = DrainingServer(build_embedding_app(front), front.gate, front.settings.limits, front.close)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(WAIT)
    front.close()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=WAIT)


def test_texts_as_the_client_asks_for_them(client: openai.OpenAI) -> None:
    """The client asks for base64 by itself and decodes it."""
    texts = ["a red ball", "green", "a red ball"]
    expected = FakePair().embed_texts(texts)
    for form in ("float", "base64", openai.NOT_GIVEN):
        answer = client.embeddings.create(model="pair", input=texts, encoding_format=form)  # type: ignore[arg-type]
        rows = [one.embedding for one in answer.data]
        if form == "base64":
            rows = [np.frombuffer(base64.b64decode(row), "<f4") for row in rows]  # type: ignore[arg-type, misc]
        torch.testing.assert_close(torch.tensor(np.array(rows, np.float32)), expected)
        assert [one.index for one in answer.data] == [0, 1, 2]
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == 5 + 3 + 5
    one = client.embeddings.create(model="pair", input="green", dimensions=4)
    assert one.data[0].embedding == pytest.approx(expected[1].tolist())


def test_pictures_and_clips_beside_texts(address: str) -> None:
    blue = PIL.Image.new("RGB", (8, 8), "blue")
    clip = {"type": "video_url", "video_url": {"url": "clip", "frames": 2}}
    body = {"input": ["red", shows(RED), [shows(blue)], clip, "blue"]}
    answer = httpx.post(f"{address}/v1/embeddings", json=body, timeout=WAIT, trust_env=False).json()
    model = FakePair()
    rows = torch.tensor([one["embedding"] for one in answer["data"]])
    torch.testing.assert_close(rows[[0, 4]], model.embed_texts(["red", "blue"]))
    torch.testing.assert_close(rows[1:3], model.embed_images([RED, blue]))
    mean = model.embed_images([RED, blue], unit=False).mean(0)
    torch.testing.assert_close(rows[3], mean / mean.norm())
    assert answer["usage"]["prompt_tokens"] == 6


def test_a_message_is_a_row(client: openai.OpenAI) -> None:
    answer: Any = client.post("/embeddings", body={"messages": says(shows(RED))}, cast_to=object)
    row = torch.tensor(answer["data"][0]["embedding"])
    torch.testing.assert_close(row, FakePair().embed_images([RED])[0])
    assert client.models.list().data[0].id == "pair"


REFUSED: dict[str, Any] = {
    "input: give either": {},
    "input[0]: [1, 2]: ids of tokens": {"input": [[1, 2]]},
    "input[0]: 1: ids of tokens": {"input": [1, 2]},
    "input[1]: '' is empty": {"input": ["a", ""]},
    "input: [] is empty": {"input": []},
    "dimensions: 2 is not 4": {"input": "a", "dimensions": 2},
    "encoding_format": {"input": "a", "encoding_format": "hex"},
    "model: this server has 'pair' only": {"input": "a", "model": "other"},
    "a row is of words alone": {
        "messages": [{"role": "user", "content": [shows(RED), {"type": "text", "text": "red"}]}]
    },
    "input[0]: 2 parts; a row is of one": {"input": [["red", "blue"]]},
    "leave options out": {"input": [shows(RED, max_tiles=3)]},
    "more than 200": {"input": "a" * 201},
    "more than 50": {"input": ["a"] * 51},
    "nothing is fetched": {"input": [shows("https://example.org/a.png")]},
    "is no file below": {"input": [shows("../../etc/passwd")]},
    "not a readable picture": {"input": [shows("data:image/png;base64," + "A" * 80)]},
    "input[0].content[0].type": {"input": [{"type": "sound"}]},
    "one user message": {"messages": [{"role": "system", "content": "a"}]},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_embedded_is_told(address: str, message: str) -> None:
    reply = httpx.post(f"{address}/v1/embeddings", json=REFUSED[message], timeout=WAIT, trust_env=False)
    assert reply.status_code in (400, 404), reply.text
    assert message in reply.json()["error"]["message"]


def test_each_server_says_what_the_other_does(address: str, served: Served, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="POST /v1/embeddings"):
        client.chat.completions.create(model="pair", messages=[{"role": "user", "content": "hi"}])
    with pytest.raises(openai.BadRequestError, match="serve a pair of pictures and texts"):
        served.client().embeddings.create(model="nano", input="hi")
    endpoints = httpx.get(address, timeout=WAIT, trust_env=False).json()["endpoints"]
    assert "/v1/embeddings" in endpoints and "/v1/responses" not in endpoints
    metrics = httpx.get(f"{address}/metrics", timeout=WAIT, trust_env=False).text
    assert 'path="/v1/embeddings",status="200"' in metrics
