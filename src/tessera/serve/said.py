"""What one choice has said so far: events of the engine as thought, words and log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.chat.tool_calls import CallStream, ToolCall
from tessera.engine.answer import ThoughtSplitter
from tessera.engine.completion import Finish, TokenLogprob
from tessera.engine.core.ticket import Event
from tessera.engine.links.linker import AnswerLink, Linker
from tessera.serve.faults import ApiFault


@dataclass(frozen=True)
class Delta:
    """What one step added. `finish` is set on the last one."""

    thought: str
    words: str
    calls: tuple[ToolCall, ...]
    logprobs: tuple[TokenLogprob, ...]
    finish: Finish | None
    links: tuple[AnswerLink, ...] = ()


class Said:
    """One choice. apart: thought and words are told apart. called: so are calls of functions.

    begun: the client's own words, which are cut. prompt: a raw prompt that the answer repeats. keeps: whether
    log-probabilities are wanted once more when all is said. linker: binds links of the answer.
    """

    def __init__(
        self,
        index: int,
        prompt_tokens: int,
        *,
        apart: bool,
        called: bool = False,
        begun: str = "",
        prompt: str = "",
        keeps: bool = True,
        linker: Linker | None = None,
    ) -> None:
        self.index, self.prompt_tokens, self.prompt = index, prompt_tokens, prompt
        self.thought, self.words = "", ""
        self.calls: list[ToolCall] = []
        self.logprobs: list[TokenLogprob] = []
        self._keeps, self._linker = keeps, linker
        self.links: list[AnswerLink] = []
        self.tokens = 0
        """Tokens of the answer."""
        self.thought_tokens = self.found_tokens = 0
        """Those of its thought, marks included; tokens of the prompt that the cache held already."""
        self.finish: Finish | None = None
        self._splitter = ThoughtSplitter() if apart else None
        self._stream = CallStream() if called else None
        self._cut = len(begun)
        if self._splitter:
            self._splitter.push(begun)

    def take(self, event: Event) -> Delta:
        """Add an event. ApiFault when the model failed, or gave the answer up."""
        if event.finish == "failed" and event.fault.startswith("grammar: "):
            raise ApiFault(400, event.fault, "invalid_value")  # it is the request's own
        if event.finish == "failed":
            raise ApiFault(500, event.fault, "model_failed")
        if event.finish == "cancelled":
            raise ApiFault(503, "the answer was given up: the server is ending", "draining", wait=5)
        piece, self._cut = event.piece[self._cut :], max(0, self._cut - len(event.piece))
        over, thinking = event.finish is not None, self._thinking
        thought, words = self._apart(piece, over)
        words, calls = self._called(words, over)
        self.thought, self.words = self.thought + thought, self.words + words
        self.calls += calls
        self.tokens += len(event.ids)
        if thinking or thought or self._thinking:
            self.thought_tokens = self.tokens
        self.found_tokens = event.found
        self.logprobs += event.logprobs if self._keeps else ()
        self.finish = event.finish
        links = self._linker.bind(event.links) if self._linker else ()
        self.links += links
        return Delta(thought, words, calls, event.logprobs, event.finish, links)

    @property
    def _thinking(self) -> bool:
        return self._splitter is not None and self._splitter.thinking

    def _apart(self, piece: str, over: bool) -> tuple[str, str]:
        if self._splitter is None:
            return "", piece
        thought, words = self._splitter.push(piece)
        if over:
            held_thought, held_words = self._splitter.flush()
            return thought + held_thought, words + held_words
        return thought, words

    def _called(self, words: str, over: bool) -> tuple[str, tuple[ToolCall, ...]]:
        if self._stream is None:
            return words, ()
        found = self._stream.push(words) + (self._stream.flush() if over else [])
        calls = tuple(part for part in found if isinstance(part, ToolCall))
        return "".join(part for part in found if isinstance(part, str)), calls
