"""Every limit has its own 4xx in OpenAI's shape; slow and hostile clients; nothing of the inside leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from starlette.types import Message, Receive, Scope, Send

from tessera.engine.core.loop import EngineStats
from tessera.engine.core.ticket import Ticket
from tessera.serve.http.layers import CountLayer
from tessera.serve.http.meters import Meters
from tessera.serve.settings import ServeLimits
from tests.engine import tiny
from tests.serve.served import CHAT, WAIT, Served, connection, head, says, serving, shows, until

WIDE = tiny.picture(1, 60, 30)
SMALL = ServeLimits(
    body_bytes=200_000, body_seconds=0.5, head_seconds=0.5, characters=1000, parts=30, media=3, pixels=5000,
    frames=4, tiles=5, tokens=120, choices=2, requests=3, requests_per_key=2, drain_seconds=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(SMALL) as server:
        yield server


def clip(count: int, side: int = 16, **options: int) -> dict[str, Any]:
    address = shows(tiny.picture(1, side, side))["image_url"]["url"]
    return {"type": "video_url", "video_url": {"url": [address] * count, **options}}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"messages": says("a" * 1001)}, 400, "too_many_characters"),
        ({"messages": says(*["a"] * 30)}, 400, "too_many_parts"),
        ({"messages": says("a" * 300_000)}, 413, "body_too_large"),
        ({"messages": says(*[shows(tiny.picture(1))] * 4)}, 400, "too_many_media"),
        ({"messages": says(clip(4))}, 400, "too_many_media"),
        ({"messages": says(shows(tiny.picture(1, 80, 80)))}, 400, "too_many_pixels"),
        ({"messages": says(clip(1, side=80))}, 400, "too_many_pixels"),
        ({"messages": says(clip(2, frames=5))}, 400, "too_many_frames"),
        ({"messages": says(shows(WIDE, max_tiles=12))}, 400, "too_many_tiles"),
        ({"messages": says("?"), "n": 3}, 400, "too_many_choices"),
        ({"messages": says("?"), "max_tokens": 119}, 400, "context_length_exceeded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_one_request_may_have(served: Served, body: dict[str, Any], status: int, code: str) -> None:
    found = served.refusal(body)
    assert found[:2] == (status, code), found
    assert "limits." in found[2], "the message names the limit"


def test_raw_prompts_have_limits_too(served: Served) -> None:
    assert served.refusal({"prompt": ["a" * 600] * 2}, "/v1/completions")[1] == "too_many_characters"
    assert served.refusal({"prompt": ["a"] * 3}, "/v1/completions")[1] == "too_many_choices"


def test_requests_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """What all of them may have together: they are answered one after the other, and none is refused."""
    limits = SMALL.model_copy(update={"total_tokens": 130, "body_seconds": WAIT, "head_seconds": WAIT})
    body = {"messages": says("?"), "ignore_eos": True, "max_tokens": 60}
    held: list[int] = []

    with serving(limits) as served:
        submit, work = served.front.service.submit, served.front.preparer.work

        def noted(*given: Any) -> Ticket:
            held.append(work.out["tokens"])
            return submit(*given)

        monkeypatch.setattr(served.front.service, "submit", noted)
        with ThreadPoolExecutor(2) as threads:
            replies = list(threads.map(lambda _: served.post(CHAT, body), range(6)))
        one = replies[0].json()["usage"]["total_tokens"]
        assert [reply.status_code for reply in replies] == [200] * 6 and held == [one] * 6
        status, code, message = served.refusal(body | {"n": 2})
        assert (status, code) == (400, "too_many_tokens") and "limits.total_tokens" in message
        status, code, _ = served.refusal(body | {"logprobs": True, "top_logprobs": 5})
        assert (status, code) == (400, "too_many_tokens")


def test_an_answer_is_as_long_as_there_is_room(served: Served) -> None:
    reply = served.post(CHAT, {"messages": says("?"), "ignore_eos": True}).json()
    assert reply["usage"]["total_tokens"] == 120


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_json"), (b"{", "invalid_json"), (b"[]", "invalid_json"), (b"null", "invalid_json"),
        (b'{"n": NaN}', "invalid_json"), (b'{"n": -Infinity}', "invalid_json"), (b"\xff\xfe", "invalid_json"),
        (b"[" * 100_000, "invalid_json"), (b'{"n": ' + b"9" * 5000 + b"}", "invalid_json"),
        (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, "invalid_json"),
        (b'{"messages": 1, "n": 1e999}', "invalid_value"), (b"{}", "invalid_value"),
    ],
)  # fmt: skip
def test_bodies_that_are_none(served: Served, content: bytes, code: str) -> None:
    reply = served.http.post(CHAT, content=content, headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code), reply.text


def test_kinds_of_bodies(served: Served) -> None:
    """A page of a stranger may send plain text without asking; JSON it may not."""
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    for headers in ({"content-type": "text/plain"}, {}, packed):
        reply = served.http.post(CHAT, content=b"{}", headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_a_body_of_unknown_length_is_counted(served: Served) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(300):
            yield b" " * 1000

    reply = served.http.post(CHAT, content=pieces(), headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")


def test_slow_bodies_and_heads(served: Served) -> None:
    with connection(served) as raw:
        raw.sendall(head(100) + b"{")
        answer = b""
        while b"body_timeout" not in answer:
            assert (piece := raw.recv(10_000)), answer
            answer += piece
        assert b" 408 " in answer.split(b"\r\n")[0]
    for begun in (b"", b"POST /v1/chat/comp", b"POST / HTTP/1.1\r\nHost: x\r\nX-A: b"):
        with connection(served) as raw:
            raw.sendall(begun)
            with pytest.raises((ConnectionResetError, EOFError)):
                if not raw.recv(10_000):
                    raise EOFError
    assert served.http.get("/health").status_code == 200


def test_requests_at_once() -> None:
    """Held inside by bodies that have not come yet."""
    limits = SMALL.model_copy(update={"body_seconds": WAIT, "head_seconds": WAIT})
    with serving(limits, keys=("first-key", "second-key")) as served:

        def refused(key: str) -> Any:
            headers = {"authorization": f"Bearer {key}"}
            reply = served.post(CHAT, {"messages": says("?"), "max_tokens": 1}, headers=headers)
            code = reply.json().get("error", {}).get("code")
            return reply.status_code, code, "retry-after" in reply.headers

        with connection(served) as one, connection(served) as two, connection(served) as three:
            assert refused("first-key")[0] == 200
            for raw, key in ((one, "first-key"), (two, "first-key")):
                raw.sendall(head(10, CHAT, f"Authorization: Bearer {key}") + b"{")
            until(lambda: served.front.gate.count == 2)
            assert refused("first-key") == (429, "queue_full", True)
            assert refused("second-key")[0] == 200
            three.sendall(head(10, CHAT, "Authorization: Bearer second-key") + b"{")
            until(lambda: served.front.gate.count == 3)
            assert refused("second-key") == (429, "server_full", True)
        until(lambda: served.front.gate.count == 0)
        assert refused("first-key")[0] == 200


def test_keys_are_asked_for_everywhere_but_at_the_door() -> None:
    with serving(keys=("a-long-key",)) as served:
        client, stranger = served.client("a-long-key"), served.client("another-key")
        assert client.chat.completions.create(model="nano", messages=says("?"), max_tokens=1).choices
        with pytest.raises(openai.AuthenticationError, match="the API key is unknown"):
            stranger.chat.completions.create(model="nano", messages=says("?"))
        for path in ("/v1/models", "/metrics", "/not/here"):
            assert served.http.get(path).status_code == 401
        assert served.http.get("/health").status_code == served.http.get("/").status_code == 200
        assert served.http.post("/tokenize", content=b"x" * 10_000_000).status_code == 401


def test_web_pages_of_others() -> None:
    """Their browsers ask first (CORS), and names that lead here by a stranger's DNS are not taken."""
    ask_first = {"origin": "https://good.test", "access-control-request-method": "POST"}
    with serving() as served:
        reply = served.http.options(CHAT, headers=ask_first)
        assert reply.status_code == 405 and "access-control-allow-origin" not in reply.headers
    with serving(origins=("https://good.test",), hosts=("127.0.0.1",), keys=("a-long-key",)) as served:
        reply = served.http.options(CHAT, headers=ask_first)
        assert (
            reply.status_code == 200 and reply.headers["access-control-allow-origin"] == "https://good.test"
        )
        reply = served.http.options(CHAT, headers=ask_first | {"origin": "https://evil.test"})
        assert "access-control-allow-origin" not in reply.headers
        reply = served.http.get("/health", headers={"host": "evil.test"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (421, "unknown_host")


def test_a_fault_of_the_server_tells_nothing_of_the_inside(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("/a/secret/path")

    monkeypatch.setattr(served.front.preparer, "measure", broken)
    reply = served.post(CHAT, {"messages": says("?")})
    assert reply.status_code == 500 and reply.json()["error"]["type"] == "server_error"
    assert "secret" not in reply.text and "Traceback" not in reply.text
    monkeypatch.undo()

    def closed(*_: object) -> None:
        raise RuntimeError("/a/secret/path")

    monkeypatch.setattr(served.front.service, "submit", closed)
    reply = served.post(CHAT, {"messages": says("?")})
    assert reply.status_code == 503 and "secret" not in reply.text and reply.headers["retry-after"]
    monkeypatch.undo()
    assert served.post(CHAT, {"messages": says("?"), "max_tokens": 1}).status_code == 200
    assert served.front.gate.count == 0 and served.front.preparer.work.out == {"tokens": 0, "tiles": 0}


def test_a_client_that_takes_nothing_is_given_up() -> None:
    """Sending waits while nothing is taken; what is told then ends the request, and counts as left."""
    meters, after = Meters(), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        after.append("never")

    async def send(message: Message) -> None:
        await asyncio.Event().wait()

    layer = CountLayer(app, meters, 0.01)
    asyncio.run(layer({"type": "http", "path": CHAT}, send, send))  # type: ignore[arg-type]
    assert not after and f'path="{CHAT}",status="499"}} 1' in meters.text(EngineStats(), {})
