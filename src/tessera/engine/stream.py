"""Tokens to text as they come: half characters, beginnings of stop strings and white space are held back.

Where a vocabulary has harmony's marks (GPT-OSS), an answer comes as messages in channels: their headers are
not text, and what stands in `analysis` is a thought, as other models write it, `<think>…</think>` in front.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from tessera.chat.render import THOUGHT, THOUGHT_END
from tessera.chat.tokenizer import Tokenizer

CHANNEL, MESSAGE, END, START = MARKS = ("<|channel|>", "<|message|>", "<|end|>", "<|start|>")
ANALYSIS = "analysis"


class _Messages:
    """Tells headers from text, token by token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._marks = {tokenizer.token_id(mark): mark for mark in MARKS}
        self._bytes = tokenizer.shown
        self._header: bytes | None = None
        self._thinking = False

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> _Messages | None:
        """None for a vocabulary without the marks."""
        return cls(tokenizer) if all(map(tokenizer.has_token, MARKS)) else None

    def read(self, token: int) -> bytes:
        """What a token adds to the text."""
        mark = self._marks.get(token)
        if mark is None:
            if self._header is None:
                return self._bytes[token]
            self._header += self._bytes[token]
            return b""
        thought = self._thinking
        if mark == MESSAGE:
            self._thinking = (self._header or b"").strip() == ANALYSIS.encode()
            self._header = None
            return THOUGHT.encode() if self._thinking and not thought else b""
        self._header = None if mark == END else b""
        self._thinking = thought and mark != END
        return f"{THOUGHT_END}\n".encode() if thought and mark == END else b""


class TextStream:
    """Text of one answer. What `push` and `flush` return, joined, is `text`.

    `text` is everything that is certain so far; `stopped`: a stop string was met, the text ends before it.
    begun: words that the prompt ends with and the answer begins with. strip: drop white space around it.
    """

    def __init__(
        self, tokenizer: Tokenizer, stops: Sequence[str] = (), begun: str = "", strip: bool = False
    ) -> None:
        self.text, self.stopped = "", False
        self._stops, self._strip = tuple(stops), strip
        self._bytes, self._messages = tokenizer.shown, _Messages.of(tokenizer)
        self._first_space = tokenizer.vocabulary.strips_first_space and not begun
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._said, self._certain = begun, len(begun)

    def push(self, token: int) -> str:
        """Take a token; returns text that can no longer change."""
        read = self._bytes[token] if self._messages is None else self._messages.read(token)
        return self._take(self._utf8.decode(read), over=False)

    def flush(self) -> str:
        """The answer is over: what was held back."""
        return self._take(self._utf8.decode(b"", final=True), over=True)

    def _take(self, fresh: str, over: bool) -> str:
        if self.stopped:
            return ""
        if fresh and self._first_space:  # the tokenizer drops the first space of a text
            fresh, self._first_space = fresh.removeprefix(" "), False
        self._said += fresh
        # What is certain cannot hold the beginning of a stop string: it would have been held back.
        found = [place for stop in self._stops if (place := self._said.find(stop, self._certain)) >= 0]
        if found:
            self._said, self.stopped = self._said[: min(found)], True
        held = 0 if over or found else held_back(self._said[self._certain :], self._stops)
        self._certain = len(self._said) - held
        sent, certain = len(self.text), self._said[: self._certain]
        self.text = certain.strip() if self._strip else certain
        return self.text[sent:]


def held_back(text: str, stops: Sequence[str]) -> int:
    """Characters at the end of `text` that may be the beginning of a stop string."""
    longest = max(map(len, stops), default=1) - 1
    for count in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-count:]) for stop in stops):
            return count
    return 0
