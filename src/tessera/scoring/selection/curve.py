"""How often a rule would be right with fewer candidates, from one sampling of many.

Every number k up to N is estimated over subsets of k candidates, each of which is as likely as any other to
be what asking k times gives: without bias. Where the first candidate is greedy, it is part of every subset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import comb
from random import Random

from tessera.scoring.selection.choosing import best, vote
from tessera.scoring.selection.rule import Candidate, SelectionRule, breakers_of, weights_of
from tessera.scoring.selection.sameness import clusters

MOST_SUBSETS = 1000
"""Of a question and a number that are looked at one by one; of more, so many are drawn."""


def sizes(most: int) -> tuple[int, ...]:
    """1, 2, 4 … and `most` itself.

    >>> sizes(12)
    (1, 2, 4, 8, 12)
    """
    return (*(2**power for power in range(most.bit_length()) if 2**power < most), most)


def any_right(right: Sequence[bool], k: int, fixed: int = 0) -> float:
    """The probability that one of k candidates is right, as an oracle would find it (pass@k, arXiv
    2107.03374). fixed: so many at the front are always among them."""
    free, drawn = _drawn(len(right), k, fixed)
    if any(right[:fixed]):
        return 1.0
    wrong = free - sum(right[fixed:])
    return 1.0 - comb(wrong, drawn) / comb(free, drawn)


def expected_right(
    candidates: Sequence[Candidate], right: Sequence[bool], rule: SelectionRule, k: int, fixed: int = 0
) -> float:
    """The probability that the rule's choice among k candidates is right.

    Exact for the best score, and for a vote wherever there are no more than `MOST_SUBSETS`; the answers that
    are joined are those that are in the whole sample. ValueError as `select`, and for a k out of range.
    """
    free, drawn = _drawn(len(candidates), k, fixed)
    weights = weights_of(candidates, rule)
    if rule.method == "best_of":
        return _best_right(weights, right, free, drawn, fixed)
    labels = clusters([candidate.answer for candidate in candidates])
    breakers = breakers_of(candidates, rule)
    chosen = [vote(labels, weights, breakers, subset) for subset in _subsets(len(candidates), k, fixed)]
    return sum(place is not None and right[place] for place in chosen) / len(chosen)


def _best_right(scores: Sequence[float], right: Sequence[bool], free: int, drawn: int, fixed: int) -> float:
    """Each candidate is the best of so many subsets as can be drawn of those behind it."""
    first = best(scores, range(fixed)) if fixed else None
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    count, behind = 0, free
    for place in order:
        if place == first:
            count += right[place] * comb(behind, drawn)
            break
        if place >= fixed:
            behind -= 1
            count += right[place] * (comb(behind, drawn - 1) if drawn else 0)
    return count / comb(free, drawn)


def _subsets(count: int, k: int, fixed: int) -> Iterator[tuple[int, ...]]:
    """All subsets, in order, or as many as `MOST_SUBSETS` drawn ones, always the same."""
    front, others = tuple(range(fixed)), range(fixed, count)
    if comb(len(others), k - fixed) <= MOST_SUBSETS:
        yield from ((*front, *rest) for rest in combinations(others, k - fixed))
        return
    random = Random(f"{count} {k} {fixed}")
    for _ in range(MOST_SUBSETS):
        yield (*front, *sorted(random.sample(others, k - fixed)))


def _drawn(count: int, k: int, fixed: int) -> tuple[int, int]:
    """How many are drawn from, and how many are drawn."""
    if not max(1, fixed) <= k <= count:
        raise ValueError(f"k = {k}: give a number from {max(1, fixed)} to {count}, the candidates there are")
    return count - fixed, k - fixed
