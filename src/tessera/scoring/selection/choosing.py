"""Candidates to the chosen one: by vote, or by score."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from tessera.scoring.selection.rule import Candidate, Selection, SelectionRule, breakers_of, weights_of
from tessera.scoring.selection.sameness import clusters


def select(candidates: Sequence[Candidate], rule: SelectionRule) -> Selection:
    """The candidate that the rule takes. Order plays no part but in ties, which the first one wins.

    Candidates without an answer have no vote; where none has one, the first is taken. ValueError without
    candidates, and for one that lacks what the rule weighs.
    """
    if not candidates:
        raise ValueError("candidates are empty; give at least one")
    labels = clusters([candidate.answer for candidate in candidates])
    weights = weights_of(candidates, rule)
    totals = _totals(labels, weights)
    everyone = range(len(candidates))
    if rule.method == "best_of":
        chosen = best(weights, everyone)
        told = f"score {weights[chosen]:.4g}" if weights[chosen] > -math.inf else "no candidate says anything"
        return Selection(chosen, labels, totals, told)
    found = vote(labels, weights, breakers_of(candidates, rule), everyone)
    if found is None:
        return Selection(0, labels, totals, "no candidate has an answer")
    label = labels[found]
    assert label is not None
    if rule.vote == "count":
        return Selection(found, labels, totals, f"{labels.count(label)} of {len(labels)} votes")
    share = totals[label] / (math.fsum(totals) or 1.0)
    return Selection(found, labels, totals, f"{share:.0%} of the weight")


def best(scores: Sequence[float], among: Sequence[int]) -> int:
    """The best of some candidates; the first of equals."""
    return max(among, key=lambda place: (scores[place], -place))


def vote(
    labels: Sequence[int | None], weights: Sequence[float], breakers: Sequence[float], among: Sequence[int]
) -> int | None:
    """The weightiest member of the weightiest cluster of some candidates; None where nobody has a vote.

    Sums are exact, so that their order plays no part. Ties go to the greater sum of `breakers`, then to the
    cluster that is seen first.
    """
    members: defaultdict[int, list[int]] = defaultdict(list)
    for place in among:
        if (label := labels[place]) is not None:
            members[label].append(place)
    if not members:
        return None

    def standing(places: Sequence[int]) -> tuple[float, float, int]:
        total = math.fsum(weights[place] for place in places)
        return total, math.fsum(breakers[place] for place in places), -places[0]

    return best(weights, max(members.values(), key=standing))


def _totals(labels: Sequence[int | None], weights: Sequence[float]) -> tuple[float, ...]:
    count = len({label for label in labels if label is not None})
    pairs = list(zip(labels, weights, strict=True))
    return tuple(math.fsum(weight for label, weight in pairs if label == number) for number in range(count))
