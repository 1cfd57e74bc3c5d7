"""Scorers of yes-or-no questions."""

from __future__ import annotations

from collections.abc import Callable

from tessera.scoring.settings import one_of
from tessera.scoring.verdict import Reference, Scorer, Verdict
from tessera.scoring.yes_no.said import OTHER, RULES, right_answer


def yes_no_scorer(rules: str = "vlmevalkit") -> Scorer:
    """1 where the answer says what is right. parts: `said` (yes, no, other) and `right`, for the figures.

    Right answers in any case: Yes, No, 1, 0, true, false. rules: see `RULES`.
    """
    rule = RULES[one_of("rules", rules, RULES)]

    def score(prediction: str, reference: Reference, /) -> Verdict:
        said, right = rule(prediction), right_answer(reference)
        why = "neither yes nor no" if said == OTHER else "says " + said
        found = None if said == OTHER else said
        return Verdict(float(said == right), found, why, {"said": said, "right": right})

    return score


def _by_house(official: str, lmms_eval: str) -> Callable[..., Scorer]:
    table = {"official": official, "vlmevalkit": "vlmevalkit", "lmms-eval": lmms_eval}

    def scorer(rules: str = "official") -> Scorer:
        return yes_no_scorer(table[one_of("rules", rules, table)])

    return scorer


mme_scorer = _by_house("official-mme", "lmms-eval-mme")
pope_scorer = _by_house("official-pope", "lmms-eval-pope")
