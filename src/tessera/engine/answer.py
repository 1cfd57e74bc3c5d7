"""An answer as it is handed out: the words, and apart from them what the model thought first.

Thinking models open with `<think>…</think>`. The cards' code returns that as part of the answer and keeps it
in the history; here the history keeps it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Self

from tessera.engine.stream import held_back

OPEN, CLOSE = "<think>", "</think>"


class Answer(str):
    """The words of an answer.

    `thought` is what came before them, "" for most models; `whole` is all that was said, for histories.
    """

    thought: str
    whole: str

    def __new__(cls, whole: str, apart: bool = True) -> Self:
        """From all that was said; `apart`: without the thought that it opens with."""
        thought, words = split_thought(whole) if apart else ("", whole)
        answer = super().__new__(cls, words)
        answer.thought, answer.whole = thought, whole
        return answer

    def __reduce__(self) -> tuple[type[Answer], tuple[str, bool]]:
        return type(self), (self.whole, self != self.whole)


def split_thought(whole: str) -> tuple[str, str]:
    """Thought and words; a thought that was never closed (the answer was too long) is all there is."""
    if not whole.startswith(OPEN):
        return "", whole
    thought, _, words = whole.removeprefix(OPEN).partition(CLOSE)
    return thought.strip(), words.strip()


class AnswerStream(Iterator[str]):
    """An answer that comes in pieces; joined they are `answer`, what was said so far."""

    def __init__(
        self, pieces: Iterable[str], apart: bool, on_thought: Callable[[str], object] | None = None
    ) -> None:
        self._whole, self._apart = "", apart
        noted = self._note(pieces)
        self._pieces = words_apart(noted, on_thought or (lambda _: None)) if apart else noted

    def __next__(self) -> str:
        return next(self._pieces)

    @property
    def answer(self) -> Answer:
        """The answer as far as it has come."""
        return Answer(self._whole, self._apart)

    def _note(self, pieces: Iterable[str]) -> Iterator[str]:
        for piece in pieces:
            self._whole += piece
            yield piece


class ThoughtSplitter:
    """Tells the thought that an answer opens with from its words, as the pieces come.

    Joined, the pieces of both are `Answer`'s. What may still belong to either, or to neither, is held back.
    """

    def __init__(self) -> None:
        self._held, self._place = "", "lead"

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


def words_apart(pieces: Iterable[str], on_thought: Callable[[str], object]) -> Iterator[str]:
    """The words of an answer that comes in pieces; joined they are `Answer`. Thoughts go to `on_thought`."""
    splitter = ThoughtSplitter()
    for piece in chain(pieces, (None,)):
        thought, words = splitter.flush() if piece is None else splitter.push(piece)
        if thought:
            on_thought(thought)
        if words:
            yield words
