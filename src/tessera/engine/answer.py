"""An answer as it is handed out: the words, and apart from them what the model thought first.

Thinking models open with `<think>…</think>`. The cards' code returns that as part of the answer and keeps it
in the history; here the history keeps it, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import chain
from typing import Self

from tessera.chat.render import THOUGHT, THOUGHT_END
from tessera.chat.tool_calls import CallStream, ToolCall, split_calls
from tessera.engine.completion import TokenLogprob
from tessera.engine.core.ticket import Event, Ticket
from tessera.engine.links.linker import AnswerLink, Linker
from tessera.engine.stream import held_back

OPEN, CLOSE = THOUGHT, THOUGHT_END
Begun = tuple[Ticket, bool, bool, Linker | None]
"""An answer that is asked for; whether thought and words come apart, and calls; what binds its links."""


class Answer(str):
    """The words of an answer.

    `thought` is what came before them, "" for most models; `whole` is all that was said, for histories.
    `logprobs` are those of all tokens that were said, where they were asked for. `calls`: functions that it
    calls, where it was told of any. `links`: its link tokens, with their states and what decoders make of
    them; a copy in another process has none.
    """

    thought: str
    whole: str
    logprobs: tuple[TokenLogprob, ...]
    calls: tuple[ToolCall, ...]
    links: tuple[AnswerLink, ...]

    def __new__(
        cls,
        whole: str,
        apart: bool = True,
        logprobs: Iterable[TokenLogprob] = (),
        called: bool = False,
        links: Iterable[AnswerLink] = (),
    ) -> Self:
        """From all that was said; `apart`: without the thought that it opens with and, where it was `called`
        for tools, without its calls."""
        thought, words = split_thought(whole) if apart else ("", whole)
        words, calls = split_calls(words) if called and apart else (words, [])
        answer = super().__new__(cls, words)
        answer.thought, answer.whole, answer.logprobs = thought, whole, tuple(logprobs)
        answer.calls, answer.links = tuple(calls), tuple(links)
        return answer

    def __reduce__(self) -> tuple[type[Answer], tuple[str, bool, tuple[TokenLogprob, ...], bool]]:
        # Links hold on to the model and the question's pictures: they stay where they are.
        return type(self), (self.whole, self != self.whole, self.logprobs, bool(self.calls))


def split_thought(whole: str) -> tuple[str, str]:
    """Thought and words; a thought that was never closed (the answer was too long) is all there is."""
    if not whole.startswith(OPEN):
        return "", whole
    thought, _, words = whole.removeprefix(OPEN).partition(CLOSE)
    return thought.strip(), words.strip()


class ThoughtSplitter:
    """Tells the thought that an answer opens with from its words, as the pieces come.

    Joined, the pieces of both are `Answer`'s. What may still belong to either, or to neither, is held back.
    """

    def __init__(self) -> None:
        self._held, self._place = "", "lead"

    @property
    def thinking(self) -> bool:
        """Whether the thought has begun and is not closed."""
        return self._place in ("opened", "thought")

    def push(self, piece: str) -> tuple[str, str]:
        """Take a piece; returns what is certain of thought and words."""
        held, thought = self._held + piece, ""
        if self._place == "lead" and (held.startswith(OPEN) or not OPEN.startswith(held)):
            self._place = "opened" if held.startswith(OPEN) else "words"
            held = held.removeprefix(OPEN)
        if self._place == "opened" and (held := held.lstrip()):
            self._place = "thought"
        if self._place == "thought":
            thought, closed, rest = held.partition(CLOSE)
            whole = thought[: len(thought) - (0 if closed else held_back(thought, (CLOSE,)))]
            thought = whole.rstrip()
            self._place, held = ("gap", rest) if closed else ("thought", held[len(thought) :])
        if self._place == "gap" and (held := held.lstrip()):
            self._place = "words"
        words, self._held = (held, "") if self._place == "words" else ("", held)
        return thought, words

    def flush(self) -> tuple[str, str]:
        """The answer is over: what was held back of thought and words."""
        held, self._held = self._held, ""
        return (held.rstrip(), "") if self._place == "thought" else ("", held)


class _Telling:
    """What has been said of an answer so far; thoughts go to `on_thought`, calls into the answer."""

    def __init__(
        self, apart: bool, called: bool, on_thought: Callable[[str], object] | None, linker: Linker | None
    ) -> None:
        self._linker, self._links = linker, list[AnswerLink]()
        self._apart, self._called, self._on_thought = apart, called, on_thought or (lambda _: None)
        self._calls = CallStream()
        self._whole, self._logprobs = "", list[TokenLogprob]()
        self._splitter = ThoughtSplitter()

    @property
    def answer(self) -> Answer:
        """The answer as far as it has come."""
        return Answer(self._whole, self._apart, self._logprobs, self._called, self._links)

    def take(self, event: Event | None) -> str:
        """The words that an event makes certain; None: there is no other. ValueError for one that failed."""
        if event is not None:
            self._whole += event.piece
            self._logprobs += event.logprobs
            self._links += self._linker.bind(event.links) if self._linker else ()
            if event.fault:
                raise ValueError(event.fault)
            if not self._apart:
                return event.piece
        thought, words = self._splitter.flush() if event is None else self._splitter.push(event.piece)
        if thought:
            self._on_thought(thought)
        if not self._called:
            return words
        found = self._calls.push(words) + (self._calls.flush() if event is None else [])
        return "".join(part for part in found if isinstance(part, str))


class AnswerStream(Iterator[str]):
    """An answer that comes in pieces; joined they are `answer`, what was said so far."""

    def __init__(
        self,
        events: Iterable[Event],
        apart: bool,
        on_thought: Callable[[str], object] | None = None,
        called: bool = False,
        linker: Linker | None = None,
    ) -> None:
        self._telling = _Telling(apart, called, on_thought, linker)
        told = map(self._telling.take, chain(events, (None,)))
        self._pieces = (piece for piece in told if piece)

    def __next__(self) -> str:
        return next(self._pieces)

    @property
    def answer(self) -> Answer:
        """The answer as far as it has come."""
        return self._telling.answer


class AsyncAnswerStream(AsyncIterator[str]):
    """The same for coroutines. `begin` asks, and says what comes apart."""

    def __init__(
        self,
        begin: Callable[[], Awaitable[Begun]],
        on_thought: Callable[[str], object] | None = None,
    ) -> None:
        self._telling: _Telling | None = None
        self._pieces = self._told(begin, on_thought)

    async def __anext__(self) -> str:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Nothing more is wanted; dropping the stream, or cancelling who reads it, says the same."""
        await self._pieces.aclose()

    @property
    def answer(self) -> Answer:
        """The answer as far as it has come."""
        return Answer("") if self._telling is None else self._telling.answer

    async def _told(
        self,
        begin: Callable[[], Awaitable[Begun]],
        on_thought: Callable[[str], object] | None,
    ) -> AsyncGenerator[str]:
        ticket, apart, called, linker = await begin()
        telling = self._telling = _Telling(apart, called, on_thought, linker)
        try:
            async for event in ticket:
                if words := telling.take(event):
                    yield words
            if words := telling.take(None):
                yield words
        finally:
            ticket.cancel()
