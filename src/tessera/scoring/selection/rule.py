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
        return _scores(candidates, -math.inf)
    if rule.vote == "logprob":
        return [math.exp(value) for value in logprobs_of(candidates)]
    if rule.vote == "critic":
        scores = _scores(candidates, 0.0)
        low = next((place for place, score in enumerate(scores) if score < 0), None)
        if low is not None:
            told = f"candidates[{low}].score = {scores[low]:g}"
            raise ValueError(f"{told}: votes are weighted by scores from 0; take another rule of the critic")
        return scores
    return [1.0] * len(candidates)


def logprobs_of(candidates: Sequence[Candidate]) -> list[float]:
    """ValueError naming the candidate that has none."""
    return _each("logprob", [c.logprob for c in candidates], "sample with logprobs")


def _scores(candidates: Sequence[Candidate], unrated: float) -> list[float]:
    """What says nothing has no answer, and no critic rates it: it counts as `unrated`."""
    silent = [one.score is None and one.answer is None for one in candidates]
    given = _each(
        "score",
        [0.0 if no else one.score for one, no in zip(candidates, silent, strict=True)],
        "give a critic",
    )
    return [unrated if no else score for score, no in zip(given, silent, strict=True)]


def _each(name: str, values: Sequence[float | None], remedy: str) -> list[float]:
    found = [value for value in values if value is not None and math.isfinite(value)]
    if len(found) < len(values):
        place = next(i for i, value in enumerate(values) if value is None or not math.isfinite(value))
        raise ValueError(f"candidates[{place}].{name} = {values[place]}: the rule needs one; {remedy}")
    return found
