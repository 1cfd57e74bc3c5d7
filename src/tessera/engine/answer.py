"""An answer as it is handed out: the words, and apart from them what the model thought first.

Thinking models open with `<think>…</think>`. The cards' code returns that as part of the answer and keeps it
in the history; here the history keeps it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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


def words_apart(pieces: Iterable[str], on_thought: Callable[[str], object]) -> Iterator[str]:
    """The words of an answer that comes in pieces; joined they are `Answer`. Thoughts go to `on_thought`."""
    held, place = "", "lead"
    for piece in pieces:
        held += piece
        if place == "lead" and (held.startswith(OPEN) or not OPEN.startswith(held)):
            place = "thought" if held.startswith(OPEN) else "words"
            held = held.removeprefix(OPEN)
        if place == "thought":
            thought, closed, rest = held.partition(CLOSE)
            kept = 0 if closed else held_back(held, (CLOSE,))
            on_thought(thought[: len(thought) - kept])
            held, place = (rest, "gap") if closed else (held[len(held) - kept :], place)
        if place == "gap" and (held := held.lstrip()):
            place = "words"
        if place == "words":
            yield held
            held = ""
    if place == "thought":
        on_thought(held)
    elif held:
        yield held
