"""What can be asked for, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["majority", "best_of"]
Vote = Literal["count", "logprob", "critic"]
Ties = Literal["first", "logprob"]


@dataclass(frozen=True)
class SelectionRule:
    """How one of several candidates is chosen.

    method: the answer that most of them give, or the candidate that the critic scores best. vote, of a
    majority: "count" (each counts alike), "logprob" (by exp of its mean log-probability; self-consistency,
    arXiv 2203.11171), "critic" (by its score). ties: to the answer that was seen "first", or whose
    log-probabilities sum to more. ValueError naming an unknown value.
    """

    method: Method = "majority"
    vote: Vote = "count"
    ties: Ties = "first"

    def __post_init__(self) -> None:
        for name, kind in (("method", Method), ("vote", Vote), ("ties", Ties)):
            if (value := getattr(self, name)) not in get_args(kind):
                raise ValueError(f"{name} = {str(value)[:80]!r}: give one of {', '.join(get_args(kind))}")

    @property
    def scored(self) -> bool:
        """Whether a critic is needed."""
        return self.method == "best_of" or self.vote == "critic"

    @property
    def weighed(self) -> bool:
        """Whether log-probabilities are needed."""
        return self.method == "majority" and "logprob" in (self.vote, self.ties)


@dataclass(frozen=True)
class Candidate:
    """A response as selection sees it.

    answer: None where it breaks the format. logprob: mean natural logarithm of its tokens' probabilities.
    score: the critic's, higher is better.
    """

    answer: str | None
    logprob: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class Selection:
    """The chosen candidate, the cluster of each (None: without an answer), what each cluster weighs, and why
    in a few words."""

    chosen: int
    clusters: tuple[int | None, ...]
    weights: tuple[float, ...]
    why: str


def weights_of(candidates: Sequence[Candidate], rule: SelectionRule) -> list[float]:
    """What the vote of each counts, or its score. ValueError naming the candidate that lacks it."""
    if rule.method == "best_of":
        return _each("score", candidates, -math.inf)
    if rule.vote == "count":
        return [1.0] * len(candidates)
    if rule.vote == "logprob":
        return [math.exp(value) for value in _each("logprob", candidates, -math.inf)]
    scores = _each("score", candidates, 0.0)
    if (low := min(scores, default=0.0)) < 0:
        told = f"candidates[{scores.index(low)}].score = {low:g}"
        raise ValueError(f"{told}: votes are weighted by scores from 0; take another rule of the critic")
    return scores


def breakers_of(candidates: Sequence[Candidate], rule: SelectionRule) -> list[float]:
    """What decides between answers with as many votes. ValueError naming the candidate that lacks it."""
    return _each("logprob", candidates, 0.0) if rule.ties == "logprob" else [0.0] * len(candidates)


def _each(name: str, candidates: Sequence[Candidate], silent: float) -> list[float]:
    """A field of each; `silent` for those that say nothing, have no answer, and can't have it."""
    found = []
    for place, candidate in enumerate(candidates):
        value = getattr(candidate, name)
        value = silent if value is None and candidate.answer is None else value
        if value is None or math.isnan(value) or value == math.inf:
            remedy = {"score": "give a critic", "logprob": "sample with logprobs"}[name]
            raise ValueError(f"candidates[{place}].{name} = {value}: the rule needs one; {remedy}")
        found.append(float(value))
    return found
