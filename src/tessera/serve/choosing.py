"""One of several candidates as the answer: asked for by a request, chosen when all of them are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from tessera.chat.message import Conversation
from tessera.engine.answer import CLOSE, OPEN
from tessera.scoring.selection.responses import CandidateResponse, ChosenResponse, Rated, choose, rated
from tessera.scoring.selection.rule import SelectionRule
from tessera.serve.said import Said


class Rater(Protocol):
    """A critic, as the server sees it."""

    def score(self, conversation: Conversation, responses: Sequence[str]) -> Sequence[Rated]:
        """One for each response."""
        ...


@dataclass(frozen=True)
class AskedSelection:
    """How a request has its answer chosen. version: of its prompt, whose rule finds answers; None: of none.

    greedy_first: the first candidate takes the best tokens. texts: all candidates are told.
    """

    rule: SelectionRule
    version: str | None = None
    greedy_first: bool = True
    texts: bool = False


def chosen_among(
    said: Sequence[Said], asked: AskedSelection, talk: Conversation, rater: Rater | None
) -> ChosenResponse:
    """The choice. talk: what was asked; the critic reads it, where it is needed. ValueError as it."""
    responses = [_response(one) for one in said]
    if asked.rule.scored and rater is not None:
        responses = rated(responses, partial(rater.score, talk))
    return choose(responses, asked.version, asked.rule, talk.messages[-1].text)


def _response(said: Said) -> CandidateResponse:
    whole = f"{OPEN}\n{said.thought}\n{CLOSE}\n\n{said.words}" if said.thought else said.words
    told = [token.logprob for token in said.logprobs]
    mean = sum(told) / len(told) if told else None
    return CandidateResponse(whole, said.tokens, said.finish or "", mean)
