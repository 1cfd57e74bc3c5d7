"""What a critic is: whoever chooses among responses knows nothing else of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tessera.chat.message import Conversation


@dataclass(frozen=True)
class Judged:
    """What a critic makes of a response: its score, higher is better, and a score for each of its steps.

    steps: in order; () where the critic knows no steps.
    """

    score: float
    steps: tuple[float, ...] = ()


class Critic(Protocol):
    """Rates responses to a question."""

    def score(self, conversation: Conversation, responses: Sequence[str]) -> list[Judged]:
        """One for each response, in order. The conversation ends with the user's question.

        What a response gets doesn't depend on the others; an empty one gets the lowest score. ValueError for
        what can't be rated, with the place of the response.
        """
        ...
