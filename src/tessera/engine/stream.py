"""Tokens to text as they come: half characters and beginnings of stop strings are held back."""

import codecs
from collections.abc import Sequence

from tessera.chat.tokenizer import Tokenizer


class TextStream:
    """Text of one answer. What `push` and `flush` return, joined, is `text`.

    `text` is everything that is certain so far; `stopped`: a stop string was met, the text ends before it.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        self.text, self.stopped = "", False
        self._stops = tuple(stops)
        self._bytes = tokenizer.shown
        self._strips = tokenizer.vocabulary.strips_first_space
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._sent = 0

    def push(self, token: int) -> str:
        """Take a token; returns text that can no longer change."""
        return self._take(self._utf8.decode(self._bytes[token]), over=False)

    def flush(self) -> str:
        """The answer is over: what was held back."""
        return self._take(self._utf8.decode(b"", final=True), over=True)

    def _take(self, fresh: str, over: bool) -> str:
        if self.stopped:
            return ""
        if fresh and self._strips:  # the tokenizer drops the first space of a text
            fresh, self._strips = fresh.removeprefix(" "), False
        self.text += fresh
        # Sent text cannot hold the beginning of a stop string: it would have been held back.
        found = [place for stop in self._stops if (place := self.text.find(stop, self._sent)) >= 0]
        if found:
            self.text, self.stopped = self.text[: min(found)], True
        held = 0 if over or found else _held_back(self.text[self._sent :], self._stops)
        start, self._sent = self._sent, len(self.text) - held
        return self.text[start : self._sent]


def _held_back(text: str, stops: Sequence[str]) -> int:
    """Characters at the end of `text` that may be the beginning of a stop string."""
    longest = max(map(len, stops), default=1) - 1
    for count in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-count:]) for stop in stops):
            return count
    return 0
