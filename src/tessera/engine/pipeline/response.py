"""What comes back: LMDeploy's `Response`, and a talk of several turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tessera.chat.message import Conversation
from tessera.engine.completion import Completion, Finish, TokenLogprob


@dataclass(frozen=True)
class Response:
    """An answer, or in streams a piece of one; counts are those up to here. `index`: which question's.

    `text` holds what a thinking model thought first. `logprobs`: for every token the best ones in its place
    and itself, id -> logarithm of the probability. `finish_reason`: stop, length or repetition.
    """

    text: str
    generate_token_len: int
    input_token_len: int
    finish_reason: Finish | None = None
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[dict[int, float], ...] | None = None
    index: int = 0

    @classmethod
    def of(cls, done: Completion, index: int = 0) -> Response:
        """A whole answer."""
        told = best_of(done.logprobs)
        return cls(done.text, len(done.ids), done.prompt_tokens, done.finish, done.ids, told, index)


@dataclass
class ChatSession:
    """A talk: `response` is the last answer, `history` the questions and answers so far."""

    response: Response | None = None
    history: list[tuple[Any, str]] = field(default_factory=list)
    talk: Conversation = Conversation(())
    """The same, as the model sees it."""


def best_of(found: tuple[TokenLogprob, ...]) -> tuple[dict[int, float], ...] | None:
    """Log-probabilities in LMDeploy's form; None where none were asked for."""
    return tuple({**dict(one.top), one.id: one.logprob} for one in found) or None


def joined(pieces: Sequence[Response]) -> Response:
    """All pieces of one answer as one."""
    ids = tuple(token for piece in pieces for token in piece.token_ids)
    told = tuple(best for piece in pieces for best in piece.logprobs or ())
    text = "".join(piece.text for piece in pieces)
    return replace(pieces[-1], text=text, token_ids=ids, logprobs=told or None)
