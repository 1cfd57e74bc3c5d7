"""What `tessera.load` returns: a chat model that can also choose among its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from tessera.align.test_time.answering import DEFAULT_PROMPT, ChosenAnswer, answer_by
from tessera.engine.chat_model import ChatModel
from tessera.scoring.selection.rule import SelectionRule, Ties, Vote

if TYPE_CHECKING:
    from tessera.align.critics.critic import Critic
    from tessera.engine.request import ChatInput, ChatOptions, Pictures


class SelectingModel(ChatModel):
    """A `ChatModel` that can also answer with the best, or the most frequent, of several candidates.

    Candidates share prompt and pictures, which are computed once. docs/test_time.md shows both in use.
    """

    def best_of(
        self,
        question: ChatInput,
        pictures: Pictures = (),
        *,
        critic: Critic,
        n: int = 8,
        prompt: str | None = DEFAULT_PROMPT,
        greedy_first: bool = True,
        **options: Unpack[ChatOptions],
    ) -> ChosenAnswer:
        """The candidate that the critic scores best; the first of equals. `answer_by` tells the options."""
        return answer_by(
            SelectionRule("best_of"),
            self,
            question,
            pictures,
            n=n,
            critic=critic,
            prompt=prompt,
            greedy_first=greedy_first,
            **options,
        )

    def majority(
        self,
        question: ChatInput,
        pictures: Pictures = (),
        *,
        n: int = 8,
        vote: Vote = "count",
        ties: Ties = "first",
        critic: Critic | None = None,
        prompt: str | None = DEFAULT_PROMPT,
        greedy_first: bool = True,
        **options: Unpack[ChatOptions],
    ) -> ChosenAnswer:
        """The answer that most candidates give; same ones are one (`SelectionRule` tells more)."""
        return answer_by(
            SelectionRule("majority", vote, ties),
            self,
            question,
            pictures,
            n=n,
            critic=critic,
            prompt=prompt,
            greedy_first=greedy_first,
            **options,
        )
