"""Scores from a server: order, bounded concurrency, retries, giving up, and resuming from the store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessera.curation.filters.config import JudgeModelConfig
from tessera.curation.filters.models.endpoint import EndpointScorer
from tessera.curation.filters.models.reply_store import Asking, ReplyStore
from tessera.curation.filters.models.scorer import Reply
from tests.curation.filters.small import FakeScorer, FakeServer, serve


def scorer(server: FakeServer, **settings: object) -> EndpointScorer:
    config = JudgeModelConfig(address=server.address, first_wait=0.01, **settings)
    return EndpointScorer(config, "secret")


def nothing(prompt: str, reply: Reply) -> None:
    """Keeps no reply."""


def test_replies_come_in_order_and_no_more_at_once_than_allowed() -> None:
    def answer(prompt: str, number: int) -> tuple[int, str]:
        time.sleep(0.02 if int(prompt) % 3 == 0 else 0.001)
        return 200, f"reply {prompt}"

    with serve(FakeServer(answer)) as server:
        model = scorer(server, concurrency=4)
        prompts = [None if n % 5 == 0 else str(n) for n in range(40)]
        replies = list(model.replies(prompts, nothing))
        model.close()
    assert [reply and reply.text for reply in replies] == [p and f"reply {p}" for p in prompts]
    assert 2 <= server.most_busy <= 4
    assert replies[1] == Reply("reply 1", 7, 3)
    assert {headers["authorization"] for headers in map(lower, server.headers)} == {"Bearer secret"}
    assert model.name.startswith("listed-model ")


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def test_prompts_are_read_ahead_only_so_far() -> None:
    """A million cached records must not pile up: None passes through a window of fixed size."""
    read = 0

    def prompts() -> Iterator[None]:
        nonlocal read
        while True:
            read += 1
            yield None

    with serve(FakeServer(lambda *_: (200, ""))) as server:
        model = scorer(server, concurrency=2)
        replies = model.replies(prompts(), nothing)
        next(replies)
        assert read < 10
        replies.close()
        model.close()


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    with serve(FakeServer(lambda prompt, number: (status, "") if number < 3 else (200, "8"))) as server:
        model = scorer(server)
        assert [reply and reply.text for reply in model.replies(["x"], nothing)] == ["8"]
        model.close()
    assert len(server.prompts) == 3


def test_a_refused_prompt_is_an_error_of_that_prompt_only() -> None:
    """413 or 400, as for too long a prompt: not tried again, not kept, the others go on."""
    kept: list[str] = []
    with serve(FakeServer(lambda prompt, _: (400, "too long") if prompt == "b" else (200, "8"))) as server:
        model = scorer(server, concurrency=1)
        replies = list(model.replies(["a", "b", "c"], lambda prompt, _: kept.append(prompt)))
        model.close()
    assert [reply.error is None for reply in replies if reply] == [True, False, True]
    assert replies[1] is not None and "status 400" in (replies[1].error or "")
    assert kept == ["a", "c"] and len(server.prompts) == 3


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_name_stops_the_run(status: int) -> None:
    with serve(FakeServer(lambda *_: (status, ""))) as server:
        model = scorer(server)
        with pytest.raises(ValueError, match=rf"status {status}.*model.key_variable"):
            list(model.replies(["x"] * 50, nothing))
        model.close()


def test_a_dead_server_stops_the_run_after_some_failures() -> None:
    with serve(FakeServer(lambda *_: (500, ""))) as server:
        model = scorer(server, concurrency=1, attempts=2, give_up_after=3)
        with pytest.raises(ValueError, match="3 requests in a row.*run the same command again"):
            list(model.replies(["x"] * 50, nothing))
        model.close()


def test_no_server_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="check that the server runs"):
        EndpointScorer(JudgeModelConfig(address="http://127.0.0.1:9", timeout=1))
    with pytest.raises(ValueError, match="write http://host:port"):
        EndpointScorer(JudgeModelConfig(address="localhost:9"))


def test_what_was_answered_is_not_asked_again_after_a_kill(tmp_path: Path) -> None:
    items = [f"prompt {n}" for n in range(20)]
    model = FakeScorer(lambda prompt: prompt[-2:], dies_after=7)
    store = ReplyStore(tmp_path / "replies")
    with pytest.raises(KeyboardInterrupt):
        list(Asking(model, store).ask(items, str))
    store.close()

    again, store = FakeScorer(lambda prompt: prompt[-2:]), ReplyStore(tmp_path / "replies")
    asking = Asking(again, store)
    found = list(asking.ask(items, str))
    store.close()
    assert [reply and reply.text for _, reply in found] == [item[-2:] for item in items]
    assert again.prompts == items[7:]
    assert (asking.counts["asked"], asking.counts["from_store"]) == (13, 7)
    assert (asking.counts["prompt_tokens"], asking.counts["answer_tokens"]) == (1300, 130)


def test_another_model_or_prompt_is_another_reply(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "replies")
    store.put("one", "prompt", Reply("8", 1, 2))
    assert store.get("one", "prompt") == Reply("8", 1, 2)
    assert store.get("two", "prompt") is None
    assert store.get("one", "prompt.") is None
    store.put("one", "half \ud800 pair", Reply("1"))
    assert store.get("one", "half \ud800 pair") is not None
    store.close()


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "replies").write_text("no database at all" * 100)
    with pytest.raises(ValueError, match="replies: .*remove the file"):
        ReplyStore(tmp_path / "replies")


def test_a_damaged_store_is_named_before_replies_are_asked(tmp_path: Path) -> None:
    file = tmp_path / "replies"
    store = ReplyStore(file)
    for number in range(500):
        store.put("model", f"prompt {number}", Reply("x" * 200))
    store.close()
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 9000] = b"\xff" * 9000
    file.write_bytes(data)
    with pytest.raises(ValueError, match="replies: .*remove the file"):
        ReplyStore(file)
