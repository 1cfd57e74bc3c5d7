"""Tokens to text as they come: half characters and beginnings of stop strings are held back."""

from __future__ import annotations

from collections.abc import Sequence

from tessera.chat.tokenizer import Tokenizer

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class TextStream:
    """Text of one answer. What `push` and `flush` return, joined, is `text`."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stops = tuple(stops)
        # Behind an anchor, a tokenizer that drops the first space of a text keeps it.
        self._anchor = tokenizer.encode_plain("a")
        self._anchor_length = len(tokenizer.decode(self._anchor))
        self._settled = ""
        self._pending: list[int] = []
        self._sent = 0
        self.stopped = False
        """Whether a stop string was met; the text ends before it."""

    @property
    def text(self) -> str:
        """Everything so far, held-back parts included."""
        return self._settled if self.stopped else self._settled + self._decode_pending()

    def push(self, token: int) -> str:
        """Take a token; returns text that can no longer change."""
        if self.stopped:
            return ""
        self._pending.append(token)
        fresh = self._decode_pending()
        if fresh and not fresh.endswith(REPLACEMENT):
            self._settled += fresh
            self._pending = []
            fresh = ""
        text = self._settled + fresh
        self._cut_at_stop(text)
        if self.stopped:
            return self._send(len(self._settled))
        sure = len(text) - text.endswith(REPLACEMENT)  # the last character may still lack bytes
        return self._send(sure - _held_back(text[self._sent : sure], self._stops))

    def flush(self) -> str:
        """The answer is over: what was held back."""
        self._settled, self._pending = self.text, []
        return self._send(len(self._settled))

    def _decode_pending(self) -> str:
        if not self._settled:
            return self._tokenizer.decode(self._pending)
        return self._tokenizer.decode([*self._anchor, *self._pending])[self._anchor_length :]

    def _cut_at_stop(self, text: str) -> None:
        # Sent text cannot hold the beginning of a stop string: it would have been held back.
        found = [place for stop in self._stops if (place := text.find(stop, self._sent)) >= 0]
        if found:
            self._settled, self._pending, self.stopped = text[: min(found)], [], True

    def _send(self, end: int) -> str:
        start, self._sent = self._sent, max(self._sent, end)
        return self.text[start : self._sent]


def _held_back(text: str, stops: Sequence[str]) -> int:
    """Characters at the end of `text` that may be the beginning of a stop string."""
    longest = max(map(len, stops), default=1) - 1
    for count in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-count:]) for stop in stops):
            return count
    return 0
