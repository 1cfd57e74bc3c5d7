"""The HTTP client against a server that answers as it is told: tries, waits, limits, redirects, words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from tessera.runtime import http
from tessera.runtime.http import Endpoint, RequestError, RequestLimits

Answer = tuple[int, dict[str, str], bytes]
GOOD: Answer = (200, {}, b'{"ok": true}')


@contextmanager
def served(answer: Callable[[int], Answer], pause: float = 0.0) -> Iterator[tuple[str, list[str]]]:
    """Address and requests of a server; `answer` takes the number of the request, from 1."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            seen.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")
            status, headers, data = answer(len(seen))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for byte in range(0, len(data), len(data) if not pause else 1):
                    self.wfile.write(data[byte:] if not pause else data[byte : byte + 1])
                    time.sleep(pause)
            except OSError:
                pass  # the client had enough

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def post(address: str, **settings: Any) -> dict[str, Any]:
    endpoint = Endpoint(address, "secret", RequestLimits(**{"first_wait": 0.01, **settings}))
    try:
        return endpoint.post("/v1/x", {})
    finally:
        endpoint.close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    with served(lambda number: (status, {}, b"busy") if number < 3 else GOOD) as (address, seen):
        assert post(address + "/v1/", attempts=3) == {"ok": True}
        assert seen == ["POST /v1/x Bearer secret"] * 3


def test_the_last_try_is_told_with_address_and_status() -> None:
    with served(lambda _: (503, {}, b"busy")) as (address, seen), pytest.raises(RequestError) as told:
        post(address, attempts=2)
    assert str(told.value).startswith(f"{address}/v1/x: status 503: busy; check the address")
    assert (told.value.status, len(seen)) == (503, 2)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, {}, b"too long"), "status 400: too long"),
        ((200, {}, b"<html>"), "not JSON"),
        ((200, {}, b"[1]"), "no JSON object"),
        ((200, {}, b"x" * 300), "more than 200 bytes"),
        ((302, {"Location": "http://elsewhere"}, b""), "redirects are not followed"),
    ],
)
def test_what_another_try_cannot_mend_is_tried_once(
    answer: Answer, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LARGEST", 200)
    with served(lambda _: answer) as (address, seen):
        with pytest.raises(RequestError, match=words):
            post(address, attempts=5)
        assert len(seen) == 1


def test_waits_grow_and_follow_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(http, "time", SimpleNamespace(sleep=waits.append, monotonic=time.monotonic))
    asked = {3: "7", 4: "9999", 5: "Wed, 21 Oct 2026 07:28:00 GMT"}
    answers = {number: (503, {"Retry-After": wish}, b"-") for number, wish in asked.items()}
    with served(lambda n: answers.get(n, (503, {}, b"-"))) as (address, _), pytest.raises(RequestError):
        post(address, attempts=5, first_wait=1.0)
    shares = [wait / ideal for wait, ideal in zip(waits, (1, 2, 7, 60), strict=True)]
    assert shares == pytest.approx([1.0] * 4, abs=0.25)


def test_a_trickle_ends_at_the_timeout() -> None:
    """Every byte comes in time, the answer doesn't."""
    with served(lambda _: (200, {}, b'{"a":' + b" " * 200 + b"1}"), pause=0.02) as (address, _):
        began = time.monotonic()
        with pytest.raises(RequestError, match="more than 0.3 seconds; raise the timeout"):
            post(address, timeout=0.3)
        assert time.monotonic() - began < 3.9  # all of it takes 4


def test_no_server_is_tried_again_and_told() -> None:
    with pytest.raises(
        RequestError, match="127.0.0.1:9/v1/x: no answer .* check that the server runs"
    ) as told:
        post("http://127.0.0.1:9", attempts=2)
    assert told.value.status == 0


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://host", "http://", "http://host:port", ""])
def test_what_is_no_address_is_told_before_anything_is_sent(address: str) -> None:
    with pytest.raises(ValueError, match="write http://host:port"):
        Endpoint(address, None, RequestLimits())


def test_map_keeps_the_order_and_stops_with_its_reader() -> None:
    endpoint = Endpoint("http://unused", None, RequestLimits(concurrency=3))
    assert list(endpoint.map(lambda item: item * 2, range(50))) == list(range(0, 100, 2))
    done: list[int] = []
    results = endpoint.map(done.append, iter(range(10_000)))
    next(results)
    results.close()  # type: ignore[attr-defined]
    endpoint.close()
    assert len(done) <= 12 + 1
