"""A thread that steps: events in order for threads and coroutines, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tessera.engine.completion import Completion
from tessera.engine.core.limits import EngineLimits
from tessera.engine.core.loop import Loop
from tessera.engine.core.service import Service
from tessera.engine.core.ticket import Event, Ticket
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.options import Sampling
from tests.engine import tiny

STOPS = frozenset({tiny.tokenizer().token_id("<|im_end|>")})
SAMPLING = Sampling(max_new_tokens=12)
LONG = Sampling(max_new_tokens=3000)
PATIENCE = 60.0
"""Seconds after which a thread that waits counts as stuck."""


def make_engine(stops: frozenset[int] = STOPS, **fields: object) -> Engine:
    return Engine(tiny.model(), tiny.tokenizer(), stops, **fields)  # type: ignore[arg-type]


def slowly() -> list[Completion]:
    prompts = tiny.mixed_prompts()
    return [generate_slowly(tiny.model(), tiny.tokenizer(), STOPS, each, SAMPLING) for each in prompts]


def test_threads_and_coroutines_get_the_same_events() -> None:
    async def read(service: Service) -> list[str]:
        async def one(number: int) -> str:
            ticket = service.submit(tiny.mixed_prompts()[number], SAMPLING)
            return "".join([event.piece async for event in ticket])

        return list(await asyncio.gather(*map(one, range(6))))

    with Service(make_engine()) as service, ThreadPoolExecutor(6) as pool:
        tickets = [service.submit(prompt, SAMPLING, owner="a") for prompt in tiny.mixed_prompts()]
        joined = list(pool.map(lambda ticket: "".join(event.piece for event in ticket), tickets))
        assert joined == [done.text for done in slowly()] == asyncio.run(read(service))
        assert [ticket.completion() for ticket in tickets] == slowly()
        assert list(tickets[0]) == [], "each event is handed out once"
        stats = service.stats()
    assert stats.running == stats.waiting == stats.blocks_used == 0 and stats.picture_misses == 11
    assert stats.reused_tokens > 0 and stats.answer_tokens >= 2 * sum(len(done.ids) for done in slowly())


def test_the_engine_itself_may_be_asked_meanwhile() -> None:
    engine = make_engine(max_batch=2)
    with Service(engine) as service:
        ticket = service.submit(tiny.mixed_prompts()[0], SAMPLING)
        assert engine.generate(tiny.mixed_prompts(), SAMPLING) == slowly()
        assert ticket.completion() == slowly()[0]
        with pytest.raises(ValueError, match="another service runs on it"):
            Service(engine)
    assert engine.generate(tiny.mixed_prompts()[:1], SAMPLING) == slowly()[:1]


def test_cancelling_ends_an_answer() -> None:
    with Service(make_engine(frozenset())) as service:
        ticket = service.submit(tiny.mixed_prompts()[0], LONG)
        first = next(ticket)
        ticket.cancel()
        events = list(ticket)
        assert first.ids and events[-1].finish == ticket.completion().finish == "cancelled"
        assert len(ticket.completion().ids) < LONG.max_new_tokens
        ticket.cancel()
        assert ticket.completion().finish == "cancelled"


@pytest.mark.parametrize("drain", [0.0, PATIENCE])
def test_closing_drains_or_cancels(drain: float) -> None:
    service = Service(make_engine(frozenset()))
    sampling = SAMPLING if drain else LONG
    tickets = [service.submit(prompt, sampling) for prompt in tiny.mixed_prompts()]
    next(tickets[0])
    service.close(drain)
    finishes = {ticket.completion().finish for ticket in tickets}
    assert finishes == ({"length"} if drain else {"cancelled"})
    with pytest.raises(RuntimeError, match="closed: make another"):
        service.submit(tiny.mixed_prompts()[0], SAMPLING)
    service.close()
    assert not service.alive


def test_a_step_that_fails_ends_its_requests_and_the_next_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    broken, model = [True], tiny.model()
    logits = model.logits

    def breaking(hidden: object) -> object:
        if broken:
            raise RuntimeError("out of memory")
        return logits(hidden)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "logits", breaking)
    with Service(make_engine()) as service:
        done = service.submit(tiny.mixed_prompts()[1], SAMPLING).completion()
        assert (done.finish, done.ids) == ("failed", ()) and "out of memory" in done.fault
        broken.clear()
        assert service.submit(tiny.mixed_prompts()[1], SAMPLING).completion() == slowly()[1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_thread_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = threading.Event()

    def dying(self: Loop) -> bool:
        reached.wait(PATIENCE)
        raise TypeError("a mistake of ours")

    monkeypatch.setattr(Loop, "_step", dying)
    service = Service(make_engine())
    tickets = [service.submit(prompt, SAMPLING) for prompt in tiny.mixed_prompts()[:3]]

    async def read() -> list[str]:
        return [event.fault async for event in tickets[1]]

    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(lambda: [event.fault for event in tickets[0]])
        waiting_too = pool.submit(asyncio.run, read())
        reached.set()
        assert "thread has ended" in waiting.result(PATIENCE)[0]
        assert "thread has ended" in waiting_too.result(PATIENCE)[0]
    assert tickets[2].completion().finish == "failed" and not service.alive
    with pytest.raises(RuntimeError, match="closed"):
        service.submit(tiny.mixed_prompts()[0], SAMPLING)


def test_an_interrupted_step_leaves_nobody_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a notebook: the call ends, another thread's request is told, and the next one is answered."""
    engine = make_engine()
    pieces = engine.stream(tiny.mixed_prompts()[1], SAMPLING)
    next(pieces)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def interrupt(hidden: object) -> object:
            raise KeyboardInterrupt

        patch.setattr(tiny.model(), "logits", interrupt)
        engine.generate(tiny.mixed_prompts()[:2], SAMPLING)
    with pytest.raises(ValueError, match="did not end: ask again"):
        list(pieces)
    assert engine.generate(tiny.mixed_prompts(), SAMPLING) == slowly()
    assert engine.loop.stats().running == engine.loop.stats().blocks_used == 0


def test_the_last_event_is_not_lost_when_it_comes_between_two_looks() -> None:
    """A reader saw no event, then saw that the answer was over: the last event had come in between."""
    done = Completion("a", (1,), "stop", 3)

    class Late(deque[Event]):
        come = False

        def __len__(self) -> int:
            if not self.come:
                self.come = True
                ticket.put(Event("a", (1,), finish="stop"), done)
                return 0
            return super().__len__()

    def until(told: Callable[[], bool]) -> None:
        assert told()

    ticket = Ticket(until)
    ticket._events = Late()
    assert [event.finish for event in ticket] == ["stop"] and ticket.completion() == done


def test_a_stream_that_is_dropped_gives_its_blocks_back() -> None:
    engine = make_engine(frozenset())
    pieces = engine.stream(tiny.mixed_prompts()[0], LONG)
    next(pieces)
    assert engine.loop.stats().running == 1
    pieces.close()  # type: ignore[attr-defined]
    assert engine.loop.stats().running == engine.loop.stats().blocks_used == 0


def test_requests_that_cannot_be_answered_are_refused_at_once() -> None:
    prompt = tiny.mixed_prompts()[1]
    with Service(make_engine()) as service:
        with pytest.raises(ValueError, match="made for 4096 positions"):
            service.submit(prompt, Sampling(max_new_tokens=5000))
        with pytest.raises(ValueError, match="4 <IMG_CONTEXT> tokens but 0 tiles"):
            service.submit(replace(prompt, tiles=prompt.tiles[:0]), SAMPLING)
        with pytest.raises(ValueError, match="ids is empty"):
            service.submit(replace(prompt, ids=prompt.ids[:0]), SAMPLING)
    small = make_engine(limits=EngineLimits(cache_bytes=2**16))
    with pytest.raises(ValueError, match="the cache holds .*cache_bytes"):
        small.generate([prompt], Sampling(max_new_tokens=2000))
    with pytest.raises(ValueError, match="cache_bytes = 9: one block of 16 tokens takes"):
        make_engine(limits=EngineLimits(cache_bytes=9))
