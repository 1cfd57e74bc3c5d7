"""Responses to the chosen one: the answer of each found, then selected."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from tessera.scoring.reasoned.extraction import BadFormat, FinalAnswer, extract_answer, last_box
from tessera.scoring.selection.choosing import select
from tessera.scoring.selection.options import meant_option, options_in
from tessera.scoring.selection.rule import Candidate, SelectionRule

_ANNOUNCED = re.compile(r"(?:final answer|answer|答案)\s*(?:is)?\s*[:：]\s*(.+)", re.IGNORECASE)


@dataclass(frozen=True)
class CandidateResponse:
    """One response to a question, and what selection made of it.

    text: all that was said, the thought included. logprob: mean natural logarithm of its tokens'
    probabilities. seconds: from asking until it was whole. answer: None where there is none; `fault` says
    why. score, steps: the critic's. cluster: candidates with one number mean the same.
    """

    text: str
    tokens: int = 0
    finish: str = "stop"
    logprob: float | None = None
    seconds: float | None = None
    answer: str | None = None
    fault: str = ""
    score: float | None = None
    steps: tuple[float, ...] = ()
    cluster: int | None = None

    def as_json(self) -> dict[str, Any]:
        """What is known of it, as plain values."""
        known = {name: value for name, value in asdict(self).items() if value not in (None, "", ())}
        return {"text": self.text, "answer": self.answer} | known


@dataclass(frozen=True)
class ChosenResponse:
    """The chosen candidate among all of them. weights: of each cluster; why: in a few words."""

    index: int
    why: str
    weights: tuple[float, ...]
    candidates: tuple[CandidateResponse, ...]

    @property
    def response(self) -> str:
        """All that the chosen one says."""
        return self.candidates[self.index].text

    @property
    def answer(self) -> str:
        """Its final answer; all of it where it has none."""
        answer = self.candidates[self.index].answer
        return self.response.strip() if answer is None else answer

    @property
    def tokens(self) -> int:
        """Of all candidates."""
        return sum(candidate.tokens for candidate in self.candidates)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        counts = {"response": self.response, "tokens": self.tokens}
        each = [candidate.as_json() for candidate in self.candidates]
        return {"answer": self.answer, **counts, **asdict(self), "candidates": each}


class Rated(Protocol):
    """What a critic makes of a response."""

    @property
    def score(self) -> float: ...

    @property
    def steps(self) -> tuple[float, ...]: ...


def rated(
    responses: Sequence[CandidateResponse], rate: Callable[[Sequence[str]], Sequence[Rated]]
) -> list[CandidateResponse]:
    """The responses with a critic's scores. Each text is rated once; what says nothing is not rated."""
    texts = list(dict.fromkeys(response.text for response in responses if response.text.strip()))
    found = dict(zip(texts, rate(texts) if texts else (), strict=True))
    return [
        replace(response, score=one.score, steps=tuple(one.steps))
        if (one := found.get(response.text))
        else response
        for response in responses
    ]


def read_answer(response: str, version: str | None) -> FinalAnswer | BadFormat:
    r"""The answer of a response to a prompt of this version; None: to a question as it is.

    Then it is what the last box holds, else what stands behind the last "Answer:", else all words but the
    thought. What the last box holds also counts where the rest breaks the version's format.

    >>> read_answer("3 + 4.\nThe answer is: 7", None)
    FinalAnswer(answer='7')
    """
    words = response.rpartition("</think>")[2].strip()
    box = last_box(words)
    if version is not None:
        found = extract_answer(response, version)
        return found if isinstance(found, FinalAnswer) or not box else FinalAnswer(box)
    announced = _ANNOUNCED.findall(words)
    answer = box if box is not None else announced[-1].strip() if announced else words
    return FinalAnswer(answer) if answer else BadFormat("nothing was said")


def choose(
    responses: Sequence[CandidateResponse], version: str | None, rule: SelectionRule, question: str = ""
) -> ChosenResponse:
    """The response that the rule takes; scores and log-probabilities stand in the responses.

    version: of the prompt (`reasoned.extraction.VERSIONS`). question: what was asked; where it lists options,
    their words count as their letters. ValueError as `select`.
    """
    found = [_with_answer(response, version) for response in responses]
    options = options_in(question)
    selection = select(
        [
            Candidate(one.answer and meant_option(one.answer, options), one.logprob, one.score)
            for one in found
        ],
        rule,
    )
    clustered = (
        replace(one, cluster=cluster) for one, cluster in zip(found, selection.clusters, strict=True)
    )
    return ChosenResponse(selection.chosen, selection.why, selection.weights, tuple(clustered))


def _with_answer(response: CandidateResponse, version: str | None) -> CandidateResponse:
    read = read_answer(response.text, version)
    if isinstance(read, FinalAnswer):
        return replace(response, answer=read.answer, fault="")
    return replace(response, answer=None, fault=read.why)
