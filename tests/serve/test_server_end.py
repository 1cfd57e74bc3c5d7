"""Clients that leave cost nothing more; a server that ends lets answers finish."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tessera.chat.message import Conversation
from tessera.engine.core.ticket import Ticket
from tessera.serve.settings import ServeLimits
from tests.engine import tiny
from tests.serve.served import CHAT, WAIT, Served, connection, head, says, serving, shows, until

LONG = {"messages": says("?"), "max_tokens": 3000, "ignore_eos": True, "n": 2}


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(ServeLimits(drain_seconds=WAIT)) as server:
        yield server


@pytest.fixture
def tickets(served: Served, monkeypatch: pytest.MonkeyPatch) -> list[Ticket]:
    """Every ticket that the server takes."""
    found: list[Ticket] = []
    submit = served.front.service.submit

    def noted(*given: Any) -> Ticket:
        found.append(submit(*given))
        return found[-1]

    monkeypatch.setattr(served.front.service, "submit", noted)
    return found


def left_alone(served: Served, tickets: list[Ticket], count: int = 2) -> None:
    """All is given back, and the engine stopped before the answers were whole."""
    until(lambda: served.front.gate.count == 0)
    assert len(tickets) == count
    assert {ticket.completion().finish for ticket in tickets} == {"cancelled"}
    assert served.front.preparer.work.out == {"tokens": 0, "tiles": 0}


def test_a_stream_that_is_left(served: Served, tickets: list[Ticket]) -> None:
    with httpx.stream("POST", served.address + CHAT, json=LONG | {"stream": True}, timeout=WAIT) as reply:
        assert reply.status_code == 200
        next(reply.iter_lines())
    left_alone(served, tickets)


def test_an_answer_that_is_not_waited_for(served: Served, tickets: list[Ticket]) -> None:
    content = json.dumps(LONG).encode()
    with connection(served) as raw:
        raw.sendall(head(len(content)) + content)
        until(lambda: len(tickets) == 2)
    left_alone(served, tickets)
    assert 'status="499"} 1' in served.http.get("/metrics").text


def test_who_leaves_before_the_pictures_are_decoded(
    served: Served, tickets: list[Ticket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place of a request stays taken until its thread is through: memory has a ceiling."""
    begun, go_on = threading.Event(), threading.Event()
    encode = served.front.preparer.model.prompt

    def slow(talk: Conversation, **options: Any) -> Any:
        if talk.media:
            begun.set()
            assert go_on.wait(WAIT)
        return encode(talk, **options)

    monkeypatch.setattr(served.front.preparer.model, "prompt", slow)
    content = json.dumps(LONG | {"messages": says(shows(tiny.picture(1)), "?")}).encode()
    with connection(served) as raw:
        raw.sendall(head(len(content)) + content)
        assert begun.wait(WAIT)
    assert served.front.gate.count == 1 and served.front.preparer.work.out["tiles"] == 1
    assert served.post(CHAT, {"messages": says("?"), "max_tokens": 1}).status_code == 200, "texts go on"
    go_on.set()
    until(lambda: served.front.gate.count == 0)
    assert len(tickets) == 1 and served.front.preparer.work.out == {"tokens": 0, "tiles": 0}


def ended(lines: Iterator[str]) -> tuple[str, list[dict[str, Any]]]:
    """The last line of a stream, and all its events."""
    told = [line for line in lines if line]
    return told[-1], [json.loads(line.removeprefix("data: ")) for line in told[:-1]]


def test_answers_finish_when_the_server_is_asked_to_end(served: Served) -> None:
    body = LONG | {"stream": True, "max_tokens": 300}
    with httpx.stream("POST", served.address + CHAT, json=body, timeout=WAIT) as reply:
        lines = reply.iter_lines()
        next(lines)
        served.server.handle_exit(signal.SIGTERM, None)
        refused = served.post(CHAT, {"messages": says("?")})
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "draining"
        health = served.http.get("/health")
        assert health.status_code == 503 and health.json() == {"status": "draining"}
        last, events = ended(lines)
    assert last == "data: [DONE]"
    assert [e["choices"][0]["finish_reason"] for e in events].count("length") == 2
    until(lambda: served.server.should_exit)


def test_the_time_to_finish_has_an_end() -> None:
    with serving(ServeLimits(drain_seconds=0)) as served:
        with httpx.stream("POST", served.address + CHAT, json=LONG | {"stream": True}, timeout=WAIT) as reply:
            lines = reply.iter_lines()
            next(lines)
            served.server.handle_exit(signal.SIGTERM, None)
            last, events = ended(lines)
        assert last == "data: [DONE]" and events[-1]["error"]["code"] == "draining"


def test_a_second_signal_ends_at_once(served: Served) -> None:
    served.server.handle_exit(signal.SIGTERM, None)
    assert not served.server.force_exit
    served.server.handle_exit(signal.SIGINT, None)
    assert served.server.should_exit and served.server.force_exit
