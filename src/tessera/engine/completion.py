"""What comes back: an answer with its tokens, why it ended, and how likely its tokens were."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self

import torch

Finish = Literal["stop", "length", "failed", "cancelled", "repetition"]


@dataclass(frozen=True)
class TokenLogprob:
    """How likely the model held a token and the best tokens in its place.

    Natural logarithms of the probabilities that the model itself gave (softmax of its raw scores over all
    tokens that an answer may hold), before bias, penalties, temperature and cuts, as in OpenAI's API. `top`:
    (id, logarithm) of the best tokens, best first; the chosen one is among them only where it is as good.
    """

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Link:
    """A link token of an answer and the last states of the queries behind it.

    token: its id. place: its number among the answer's tokens. states: float32 [N, D], on the CPU.
    """

    token: int
    place: int
    states: torch.Tensor


@dataclass(frozen=True)
class Completion:
    """An answer. `ids` are its tokens without the token that ended it; `text` is cut at a stop string.

    `fault`: why it "failed", with what it had said by then; the others of its batch went on.
    `logprobs`: one for each of `ids` where the sampling asks for them, else none. `links`: one for each link
    token, but for a last one behind which there was no room for its queries.
    """

    text: str
    ids: tuple[int, ...]
    finish: Finish
    prompt_tokens: int
    fault: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    links: tuple[Link, ...] = field(default=(), compare=False)

    def sound(self) -> Self:
        """The same; ValueError for one that failed."""
        if self.fault:
            raise ValueError(self.fault)
        return self
