"""`achat` and `astream`: the answers of `chat` and `stream`, many at once, and places given up."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from tessera.engine.chat_model import ChatModel
from tests.engine.test_chat_model import WIDE, model

__all__ = ["model"]
QUESTIONS = ["which?", "how many?", "is it red?"]


def test_coroutines_say_what_chat_says(model: ChatModel) -> None:
    expected = [model.chat(question, WIDE, max_new_tokens=9) for question in QUESTIONS]

    async def stream(question: str) -> str:
        pieces = model.astream(question, WIDE, max_new_tokens=9)
        assert pieces.answer == ""
        joined = "".join([piece async for piece in pieces])
        assert pieces.answer == joined
        return joined

    async def all_at_once() -> list[list[str]]:
        asked = [model.achat(question, WIDE, max_new_tokens=9) for question in QUESTIONS]
        return [await asyncio.gather(*asked), await asyncio.gather(*map(stream, QUESTIONS))]

    assert asyncio.run(all_at_once()) == [expected, expected]
    assert asyncio.run(all_at_once()) == [expected, expected], "another loop of coroutines, the same thread"
    assert model.chat(QUESTIONS[0], WIDE, max_new_tokens=9) == expected[0]


def test_thoughts_stand_apart(model: ChatModel) -> None:
    begun, thoughts = "<think>\nit is red\n</think>\n\nthe ", list[str]()

    async def stream() -> str:
        pieces = model.astream("which?", on_thought=thoughts.append, prefill=begun, max_new_tokens=5)
        return "".join([piece async for piece in pieces])

    assert asyncio.run(stream()) == model.chat("which?", prefill=begun, max_new_tokens=5)
    assert "".join(thoughts) == "it is red"


def test_a_coroutine_that_is_cancelled_gives_its_place_up(model: ChatModel) -> None:
    async def leave() -> None:
        waiting = asyncio.create_task(model.achat("which?", max_new_tokens=3000, ignore_eos=True))
        pieces = model.astream("which?", max_new_tokens=3000, ignore_eos=True)
        await anext(pieces)
        assert model.service.stats().running >= 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await pieces.aclose()
        while (stats := model.service.stats()).running or stats.waiting:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(leave(), 60))


def test_mistakes_are_raised_where_they_are_awaited(model: ChatModel) -> None:
    async def ask() -> None:
        with pytest.raises(ValueError, match="zzz = 1: no such setting"):
            await model.achat("is", zzz=1)  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="zzz = 1: no such setting"):
            await anext(model.astream("is", zzz=1))  # type: ignore[call-arg]

    asyncio.run(ask())


def test_log_probabilities_come_with_the_answer(model: ChatModel) -> None:
    said = model.chat("which?", WIDE, max_new_tokens=6, logprobs=2)
    assert len(said.logprobs) == 6 and all(len(token.top) == 2 for token in said.logprobs)
    assert all(token.top[0] == (token.id, token.logprob) for token in said.logprobs), "greedy: the best"
    stream = model.stream("which?", WIDE, max_new_tokens=6, logprobs=2)
    assert "".join(stream) == said and stream.answer.logprobs == said.logprobs
    assert model.batch([("which?")], max_new_tokens=6, logprobs=0)[0].logprobs[0].top == ()
    assert model.chat("which?", max_new_tokens=6).logprobs == ()


def test_the_thread_ends_with_the_model(model: ChatModel) -> None:
    other = ChatModel(model.loaded)
    asyncio.run(other.achat("which?", max_new_tokens=2))
    thread, gone = other.service._thread, weakref.ref(other)
    assert thread in threading.enumerate()
    del other
    gc.collect()
    thread.join(60)
    assert gone() is None and not thread.is_alive()
